import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { WriterIdentity } from "../core/backup/claim.ts";
import { objectKind } from "../core/backup/name.ts";
import { type MemoryStore, memoryStore } from "../store/memory/memory-store.fixture.ts";
import { addBackup } from "./manifest/manifest.fixture.ts";
import { putClaim, readClaim } from "./catalog/claim.ts";
import { recordSuccession } from "./catalog/succession.ts";
import { putHeartbeat } from "./catalog/writers.ts";
import { type FolderUser, checkMayDelete, enterFolder, whyNotWrite } from "./folder.ts";

const { signal } = new AbortController();
const minute = 60_000;
const holdMs = 30 * minute;
const [cafe, beef, face] = ["cafe", "beef", "face"];

/** A store whose clock the test sets, and the operators and command lines that use the folder prod in it. */
function world() {
  const bucket = memoryStore();
  let clock = Date.parse("2026-11-30T12:00:00Z");
  const now = () => new Date(clock);
  bucket.now = now;
  const identities = new Map<string, WriterIdentity>();
  const user = (id?: string, store: MemoryStore = bucket): FolderUser => ({
    store,
    clusterName: "prod",
    now,
    ...(id === undefined ? {} : { writer: async () => identities.get(id) ?? assert.fail(`no writer ${id}`) }),
  });
  return {
    bucket,
    user,
    operator: (id: string) => ({ ...user(id), writer: user(id).writer ?? assert.fail("no writer") }),
    later: (minutes: number) => void (clock += minutes * minute),
    /** The operator renews as its store controller does. */
    async renew(id: string, renewal: number, nonce = "11111111"): Promise<void> {
      const identity = { id, who: `EtcdBackupStore ${id}/main`, renewal, nonce };
      identities.set(id, identity);
      await putHeartbeat(bucket, identity, { holdMs }, signal);
    },
    enter: (clusterId: string, id?: string) => enterFolder(user(id), clusterId, signal),
    claim: async () => (await readClaim(bucket, "prod", signal)) ?? assert.fail("there is no claim"),
    store(runId: string, clusterId: string, revision = 9): void {
      const time = `${now().toISOString().slice(0, 19)}Z`;
      const { object } = addBackup(bucket, { runId, clusterId, revision, time }, now());
      assert.ok(bucket.objects.has(object));
    },
  };
}

const claimed = { code: "FolderClaimed" };

describe("a copied manifest with the cluster name of another cluster", () => {
  it("stores nothing in that cluster's folder, from an operator or a command line", async () => {
    const { enter, renew, bucket } = world();
    await renew("prod-operator", 1);
    await enter(cafe, "prod-operator");
    await renew("staging", 1);
    const before = [...bucket.objects.keys()];
    for (const by of ["staging", undefined])
      await assert.rejects(enter(beef, by), { ...claimed, permanent: true });
    assert.deepEqual([...bucket.objects.keys()], before);
  });
});

describe("a copy of a Kubernetes cluster beside its living original", () => {
  it("neither writes nor deletes, and the original goes on", async () => {
    const { enter, renew, operator, later, claim } = world();
    await renew("w", 5);
    await enter(cafe, "w");
    // The copy was made here. The original renews; the copy's resource still names renewal 5.
    const original = operator("w");
    const old = { id: "w", who: "EtcdBackupStore w/main", renewal: 5, nonce: "11111111" };
    const copy = { ...original, writer: async () => old };
    await renew("w", 6);
    later(1);
    await assert.rejects(enterFolder(copy, cafe, signal), { ...claimed, message: /is a copy/ });
    await assert.rejects(checkMayDelete(copy, signal), { ...claimed, message: /is a copy/ });
    assert.match((await whyNotWrite(copy, signal))?.error.message ?? "", /is a copy/);
    await enterFolder(original, cafe, signal);
    await checkMayDelete(original, signal);
    assert.equal((await claim()).number, 1);
  });

  it("under a writer of its own waits for the silence of the original, then takes the folder", async () => {
    const { enter, renew, operator, later, claim } = world();
    await renew("w", 5);
    await enter(cafe, "w");
    await renew("copy", 1);
    later(29);
    const why = await whyNotWrite(operator("copy"), signal);
    assert.match(why?.error.message ?? "", /held by .* \(writer w\)/);
    assert.equal(why?.freeInMs, minute);
    await assert.rejects(enter(cafe, "copy"), { ...claimed, permanent: false });
    await assert.rejects(checkMayDelete(operator("copy"), signal), claimed);
    later(2);
    assert.equal(await whyNotWrite(operator("copy"), signal), undefined);
    await assert.rejects(checkMayDelete(operator("copy"), signal), claimed, "silence permits no deletion");
    await enter(cafe, "copy");
    assert.equal((await claim()).writer?.id, "copy");
    await checkMayDelete(operator("copy"), signal);
    await renew("copy", 2);
    await renew("w", 6);
    await assert.rejects(enter(cafe, "w"), { ...claimed, message: /held by .* \(writer copy\)/ });
  });

  it("is measured by the store's clock, not by its own", async () => {
    const { enter, renew, user, bucket } = world();
    await renew("w", 1);
    await enter(cafe, "w");
    await renew("copy", 1);
    const ahead = { ...user("copy"), now: () => new Date(Date.parse("2030-01-01T00:00:00Z")) };
    await assert.rejects(enterFolder(ahead, cafe, signal), claimed);
    assert.ok(![...bucket.objects.keys()].some((name) => name.startsWith(".probe-")));
  });
});

describe("a backup under way", () => {
  it("is given up when its writer loses the folder before the manifest", async () => {
    const { enter, renew, later } = world();
    await renew("w", 1);
    const entry = await enter(cafe, "w");
    await entry.confirm({ revision: 9, mayLag: false }, signal);
    later(31);
    await renew("other", 1);
    await enter(cafe, "other");
    await assert.rejects(entry.confirm({ revision: 9, mayLag: false }, signal), {
      ...claimed,
      message: /taken over during the backup/,
    });
  });

  it("is given up when its etcd cluster is replaced before the manifest", async () => {
    const { enter, bucket } = world();
    const entry = await enter(cafe);
    await recordSuccession(bucket, "prod", { id: beef, of: cafe, backup: "x" }, signal);
    await enter(beef);
    await assert.rejects(entry.confirm({ revision: 9, mayLag: false }, signal), claimed);
  });

  it("of a command line stays valid when an operator takes the folder for the same cluster", async () => {
    const { enter, renew } = world();
    const entry = await enter(cafe);
    await renew("w", 1);
    await enter(cafe, "w");
    await entry.confirm({ revision: 9, mayLag: false }, signal);
  });
});

describe("a writer that took a folder by the silence of another", () => {
  it("deletes what it has stored itself, and of the other only when that one is gone for good", async () => {
    const { bucket, enter, renew, operator, later, store } = world();
    await renew("w", 1);
    await enter(cafe, "w");
    store("run1", cafe);
    later(31);
    await renew("next", 1);
    await enter(cafe, "next");
    later(1);
    store("run2", cafe);
    const [before, own] = [...bucket.objects.keys()].filter((name) => objectKind(name) === "manifest");
    await checkMayDelete(operator("next"), signal, own);
    await assert.rejects(checkMayDelete(operator("next"), signal, before), {
      ...claimed,
      message: /stored before this operator took the folder prod .* silent and may return/,
      hint: /claim take .* --writer next/,
    });
    later(7 * 24 * 60);
    await checkMayDelete(operator("next"), signal, before);
  });
});

describe("a snapshot of a cluster with the ID of the folder's", () => {
  const entered = async (snapshot: { revision: number; mayLag?: boolean }) => {
    const { enter, store } = world();
    await enter(cafe);
    store("run1", cafe, 42);
    const entry = await enter(cafe);
    // One that is stored meanwhile may have begun later.
    store("run2", cafe, 90);
    return entry.confirm({ mayLag: false, ...snapshot }, signal);
  };

  it("is refused where its revision is older than that of a backup from before: it is another cluster", async () => {
    await assert.rejects(entered({ revision: 41 }), {
      ...claimed,
      permanent: true,
      message: /holds backup \S+run1 of etcd cluster cafe, .* older revision 41: it is another cluster/,
    });
    await entered({ revision: 42 });
    await entered({ revision: 41, mayLag: true });
  });

  for (const days of [8, 100, 2_000])
    it(`is refused also where that backup is ${days} days old, and a clock that was ahead named another one`, async () => {
      const { enter, store, bucket, later } = world();
      await enter(cafe);
      store("run1", cafe, 42);
      addBackup(
        bucket,
        { runId: "ahead", clusterId: cafe, revision: 5, time: "2036-08-20T12:00:00Z" },
        bucket.now(),
      );
      later(days * 24 * 60);
      const entry = await enter(cafe);
      await assert.rejects(entry.confirm({ revision: 41, mayLag: false }, signal), {
        ...claimed,
        message: /holds backup \S+run1 of etcd cluster cafe, .* older revision 41/,
      });
      await entry.confirm({ revision: 42, mayLag: false }, signal);
    });

  it("is compared with the names of the last week alone where the cluster has a backup there", async () => {
    const { user, enter, store, bucket, later } = world();
    await enter(cafe);
    store("old1", cafe, 42);
    later(8 * 24 * 60);
    store("new1", cafe, 43);
    const listed: string[] = [];
    const list: MemoryStore["list"] = (prefix, options) => {
      if (prefix === "prod/") listed.push(options.startAfter ?? "");
      return bucket.list(prefix, options);
    };
    bucket.calls.length = 0;
    await enterFolder({ ...user(), store: { ...bucket, list } }, cafe, signal);
    assert.deepEqual(listed, ["prod/20261201T120000Z"]);
    assert.equal(bucket.calls.filter((call) => /^get .*-r\d{20}-/.test(call)).length, 1);
  });

  it("is compared with that backup though others of a stranger are newer", async () => {
    const { enter, store, later } = world();
    await enter(cafe);
    store("old1", cafe, 42);
    later(8 * 24 * 60);
    for (let run = 10; run < 30; run++) store(`run${run}`, beef, 90);
    const entry = await enter(cafe);
    await assert.rejects(entry.confirm({ revision: 41, mayLag: false }, signal), { message: /old1/ });
  });

  it("is let in once a person has given the folder to that cluster", async () => {
    const { enter, store, bucket, claim, later } = world();
    await enter(cafe);
    store("old1", cafe, 42);
    later(60);
    const { nonce: _, lineage, ...before } = await claim();
    const taken = { id: cafe, number: 2, since: bucket.now().toISOString() };
    await putClaim(bucket, "prod", { ...before, number: 2, lineage: [...lineage, taken] }, signal);
    const entry = await enter(cafe);
    await entry.confirm({ revision: 41, mayLag: false }, signal);
  });

  it("is compared with a bounded number of manifests", async () => {
    const { enter, store, bucket } = world();
    await enter(cafe);
    for (let run = 1000; run < 2500; run++) store(`run${run}`, beef, 90);
    bucket.calls.length = 0;
    await (await enter(cafe)).confirm({ revision: 41, mayLag: false }, signal);
    const reads = bucket.calls.filter((call) => /^get .*run\d+\.json$/.test(call));
    assert.ok(reads.length <= 400, `${reads.length}`);
  });
});

describe("a restored cluster", () => {
  it("goes on in the folder of the cluster that it was restored from", async () => {
    const { enter, bucket, claim, store } = world();
    await enter(cafe);
    store("run1", cafe);
    await assert.rejects(enter(beef), { ...claimed, permanent: true });
    await recordSuccession(bucket, "prod", { id: beef, of: cafe, backup: "b" }, signal);
    await enter(beef);
    assert.deepEqual((await claim()).lineage, [
      { id: cafe, number: 0 },
      { id: beef, number: 2, since: "2026-11-30T12:00:00.000Z", restoredFrom: "b" },
    ]);
    await assert.rejects(enter(cafe), { ...claimed, message: /has replaced this one/ });
  });

  it("is refused while its original is still backed up after the restore", async () => {
    const { enter, bucket, store, later } = world();
    await enter(cafe);
    await recordSuccession(bucket, "prod", { id: beef, of: cafe, backup: "b" }, signal);
    later(1);
    store("run2", cafe);
    await assert.rejects(enter(beef), { ...claimed, message: /restored copy/ });
  });

  it("goes on in a folder of an earlier release, which has no claim", async () => {
    const { enter, bucket, store, claim } = world();
    store("run1", cafe);
    await assert.rejects(enter(face), { ...claimed, message: /belongs to etcd cluster cafe/ });
    await recordSuccession(bucket, "prod", { id: beef, of: cafe, backup: "b" }, signal);
    await enter(beef);
    assert.deepEqual(
      (await claim()).lineage.map(({ id }) => id),
      [cafe, beef],
    );
  });
});

describe("two that claim a folder at the same moment", () => {
  it("do not both get it", async () => {
    const { bucket, user } = world();
    const other = memoryStore(bucket);
    const outcomes = await Promise.allSettled([
      enterFolder(user(undefined), cafe, signal),
      enterFolder(user(undefined, other), beef, signal),
    ]);
    assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
  });

  it("do not both get it where the store accepts both puts, and the later one wins", async () => {
    const { bucket, user } = world();
    // A store without conditional writes: each put finds the name free, and the later one replaces the earlier.
    const put = bucket.put.bind(bucket);
    const waiting: (() => void)[] = [];
    bucket.put = async (name, source, options) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.push(resolve);
      if (waiting.length === 2) for (const go of waiting) go();
      if (waiting.length <= 2) await promise;
      bucket.objects.delete(name);
      const stored = await put(name, source, options);
      // Both have put before either reads.
      await new Promise(setImmediate);
      return stored;
    };
    const outcomes = await Promise.allSettled([
      enterFolder(user(undefined), cafe, signal),
      enterFolder(user(undefined), beef, signal),
    ]);
    assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
  });
});

describe("a claim that cannot be read", () => {
  it("refuses every backup, and names the object and what to do", async () => {
    const { enter, bucket } = world();
    bucket.objects.set("prod/claim/00000000000000000003.json", Buffer.from("<html>"));
    await assert.rejects(enter(cafe), {
      code: "VerificationFailed",
      message: /prod\/claim\/0+3\.json is not a claim: it is not JSON/,
      hint: /claim take/,
    });
    bucket.objects.set("prod/claim/00000000000000000004.json", Buffer.from('{"formatVersion":2}'));
    await assert.rejects(enter(cafe), { code: "Refused", hint: /newer one/ });
  });
});
