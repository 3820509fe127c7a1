import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OperatorError } from "../../core/errors.ts";
import { type MemoryStore, memoryStore } from "../../store/memory/memory-store.fixture.ts";
import type { ObjectInfo } from "../../store/store.ts";
import { type BackupIdentity, addBackup, manifestOf } from "../manifest/manifest.fixture.ts";
import { encodeManifest } from "../manifest/manifest.ts";
import { putClaim } from "./claim.ts";
import { FactMemory } from "./facts.ts";
import { sweepAbandoned } from "./orphans.ts";
import { StoreCatalog } from "./store-catalog.ts";

const { signal } = new AbortController();
const begin = Date.parse("2026-08-20T12:00:00Z");
const hourMs = 3_600_000;

/** A backup that was stored `hour` hours after the beginning, by all clocks. */
function at(hour: number, identity: BackupIdentity = {}): [BackupIdentity, Date] {
  const time = new Date(begin + hour * hourMs);
  const runId = `run${String(hour).padStart(4, "0")}`;
  return [{ time: `${time.toISOString().slice(0, 19)}Z`, revision: 100 + hour, runId, ...identity }, time];
}

/** A store with these backups and its catalog. */
function begun(...backups: [BackupIdentity, Date][]) {
  const bucket = memoryStore();
  const added = backups.map(([identity, time]) => addBackup(bucket, identity, time));
  const catalog = new StoreCatalog({ open: async () => bucket });
  return {
    bucket,
    added,
    names: added.map(({ manifest }) => manifest.name),
    catalog,
    refresh: (keepRest = false) => catalog.refresh(bucket, { keepRest, signal }),
    summary: () => catalog.summarize(bucket, signal),
    folder: (clusterName = "prod") => catalog.folder(clusterName, signal),
    /** What was read since the last call of this. */
    reads: () => readsOf(bucket).map((name) => name.split("/").slice(1).join("/").replace(".json", "")),
  };
}

function readsOf(bucket: MemoryStore): string[] {
  const reads = bucket.calls.filter((call) => call.startsWith("get ")).map((call) => call.slice(4));
  bucket.calls.length = 0;
  return reads;
}

/** The folder belongs to the last of these clusters, each of which was let in at its time. */
async function claim(bucket: MemoryStore, ...lineage: [id: string, hour: number][]): Promise<void> {
  for (const [place, [, hour]] of lineage.entries()) {
    bucket.now = () => new Date(begin + hour * hourMs);
    const ancestors = lineage
      .slice(0, place + 1)
      .map(([id, since], number) =>
        number === 0
          ? { id, number: 0 }
          : { id, number: number + 1, since: new Date(begin + since * hourMs).toISOString() },
      );
    const next = { number: place + 1, lineage: ancestors, since: "s", reason: "r" };
    assert.ok(await putClaim(bucket, "prod", next, signal));
  }
  bucket.calls.length = 0;
}

describe("the summary of a store", () => {
  it("counts every backup and finds the newest complete one, from one manifest", async () => {
    const { names, refresh, summary, reads } = begun(at(1), at(2), at(3, { clusterName: "lab" }));
    await refresh();
    const { count, newest } = await summary();
    assert.deepEqual([count, newest?.name, newest?.clusterName], [3, names[2], "lab"]);
    assert.equal(newest?.manifest.run.completedAt, "2026-08-20T15:00:05.000Z");
    assert.deepEqual(reads(), [names[2]]);
  });

  it("counts a damaged backup, but does not return it as the newest", async () => {
    const { bucket, added, names, refresh, summary } = begun(at(1), at(2));
    bucket.objects.delete(added[1]?.data ?? "");
    await refresh();
    const { count, newest } = await summary();
    assert.deepEqual([count, newest?.name], [2, names[0]]);
  });

  it("counts 0 in an empty store", async () => {
    const { refresh, summary } = begun();
    await refresh();
    assert.deepEqual(await summary(), { count: 0, newest: undefined, unreadable: [] });
  });

  it("leaves out a folder whose claim cannot be read, names it, and shows the others", async () => {
    const { bucket, names, refresh, summary } = begun(at(1), at(2, { clusterName: "torn" }));
    await claim(bucket, ["cafe", 0]);
    bucket.objects.set("torn/claim/00000000000000000001.json", Buffer.from("?"));
    await refresh();
    const { count, newest, unreadable } = await summary();
    assert.deepEqual([count, newest?.name, unreadable], [2, names[0], ["torn"]]);
  });

  it("names the latest of the folder that was written last by the store's clock", async () => {
    const ahead = at(1, { time: "2027-01-01T00:00:00Z" });
    const [old] = at(9, { clusterName: "old", time: "2029-01-01T00:00:00Z" });
    const { bucket, names, refresh, summary } = begun(ahead, at(2), [old, new Date(begin)]);
    await claim(bucket, ["cafe", 0]);
    await refresh();
    const { count, newest, laterByClock } = await summary();
    assert.deepEqual([count, newest?.name, laterByClock?.name], [3, names[1], names[0]]);
  });

  it("reads 1000 manifests of a folder at most, and the next one goes on where it ended", async () => {
    const strangers = Array.from({ length: 1_500 }, (_, hour) => at(hour, { clusterId: "bad" }));
    const { bucket, refresh, summary, reads } = begun(...strangers);
    const own = addBackup(bucket, ...at(2_000, { revision: 1 }));
    await claim(bucket, ["cafe", 0]);
    await refresh();
    assert.equal((await summary()).newest, undefined);
    assert.equal(reads().length, 1_001, "the claim and the manifests");
    await refresh();
    assert.equal((await summary()).newest?.name, own.manifest.name);
    assert.equal(reads().length, 501);
  });
});

describe("a catalog", () => {
  it("reads no manifest and no claim again while the store does not change", async () => {
    const { bucket, names, refresh, summary, folder, reads } = begun(at(1), at(2));
    await claim(bucket, ["cafe", 0]);
    await refresh();
    await folder();
    await summary();
    assert.deepEqual(reads().toSorted(), [...names, "claim/00000000000000000001"].toSorted());
    await refresh();
    await summary();
    assert.deepEqual(
      (await folder()).map(({ name }) => name),
      names.toReversed(),
    );
    assert.deepEqual(reads(), []);
  });

  it("reads a manifest again that was replaced, by its ETag or else by its size and time", async () => {
    const { bucket, added, names, catalog, folder, reads } = begun(at(1), at(2));
    const [first] = added;
    assert.ok(first);
    let etags: Record<string, string> = {};
    const withEtags = {
      async *list(prefix: string, options: { signal: AbortSignal }): AsyncGenerator<ObjectInfo> {
        for await (const object of bucket.list(prefix, options)) {
          const etag = etags[object.name];
          yield etag === undefined ? object : { ...object, etag };
        }
      },
    };
    const refresh = () => catalog.refresh(withEtags, { signal });
    await refresh();
    await folder();
    reads();
    bucket.modified.set(first.object, new Date(begin + 7 * hourMs));
    await refresh();
    await folder();
    assert.deepEqual(reads(), [names[0]]);
    for (const etag of ["e1", "e1", "e2"]) {
      etags = { [first.object]: etag };
      await refresh();
      await folder();
    }
    assert.deepEqual(reads(), [names[0], names[0]]);
  });

  it("stays as it is when a listing breaks off, whatever that has shown", async () => {
    const { bucket, added, names, catalog, refresh, folder } = begun(at(1), at(2), at(3));
    await refresh();
    bucket.objects.delete(added[1]?.object ?? "");
    addBackup(bucket, ...at(0));
    const broken = {
      async *list(prefix: string, options: { signal: AbortSignal }) {
        for await (const object of bucket.list(prefix, options)) {
          if (object.name.includes(names[2] ?? "")) throw new OperatorError("StoreFailed", "reset");
          yield object;
        }
      },
    };
    const listedAt = catalog.listedAt;
    await assert.rejects(catalog.refresh(broken, { signal }), { code: "StoreFailed" });
    assert.deepEqual([catalog.count, catalog.listedAt], [3, listedAt]);
    await refresh();
    assert.deepEqual(
      (await folder()).map(({ revision }) => revision),
      [103, 101, 100],
    );
  });

  it("refuses a listing out of order, which would make backups look orphaned", async () => {
    const { bucket, catalog } = begun(at(1));
    const objects = await Array.fromAsync(bucket.list("", { signal }));
    const list = async function* () {
      yield* objects.toReversed();
    };
    await assert.rejects(catalog.refresh({ list }, { signal }), { code: "StoreFailed", message: /after/ });
  });

  it("throws before the first listing, so that nobody takes it for empty", async () => {
    const { catalog, folder, summary } = begun(at(1));
    await assert.rejects(folder(), { code: "NotFound", permanent: false });
    await assert.rejects(async () => summary(), { code: "NotFound" });
    assert.throws(() => catalog.count, { code: "NotFound" });
  });

  it("shows at once what this process stores and removes, and reads none of it", async () => {
    const { bucket, names, catalog, refresh, folder, reads } = begun(at(1));
    await refresh();
    await folder();
    reads();
    const [identity, time] = at(2);
    const { manifest } = addBackup(bucket, identity, time);
    catalog.noteStored(manifest, time);
    const other = manifestOf({ ...identity, clusterName: "lab" });
    catalog.noteStored(other, time);
    assert.deepEqual(
      (await folder()).map(({ name, problem }) => [name, problem]),
      [
        [manifest.name, undefined],
        [names[0], undefined],
      ],
    );
    assert.deepEqual([catalog.count, catalog.clusterNames()], [3, ["prod", "lab"]]);
    catalog.noteRemoved("prod", names[0] ?? "");
    catalog.noteRemoved("nowhere", "x");
    assert.deepEqual(
      (await folder()).map(({ name }) => name),
      [manifest.name],
    );
    await refresh();
    await folder();
    assert.deepEqual(reads(), [names[0]], "only what was not removed in fact");
    assert.deepEqual(catalog.clusterNames(), ["prod"]);
  });

  it("shows them also after a listing that was under way and missed them", async () => {
    const { bucket, added, names, catalog, refresh, folder } = begun(at(1), at(2));
    await refresh();
    const list = async function* () {
      const objects = await Array.fromAsync(bucket.list("", { signal }));
      const [identity, time] = at(3);
      catalog.noteStored(addBackup(bucket, identity, time).manifest, time);
      for (const name of [added[0]?.object, added[0]?.data]) bucket.objects.delete(name ?? "");
      catalog.noteRemoved("prod", names[0] ?? "");
      yield* objects;
    };
    await catalog.refresh({ list }, { signal });
    assert.deepEqual(
      (await folder()).map(({ revision }) => revision),
      [103, 102],
    );
  });

  it("keeps as much for the sweep as the whole listing", async () => {
    const { bucket, refresh } = begun(
      at(1),
      at(2),
      at(3, { clusterName: "lab" }),
      at(4),
      at(4, { runId: "twin" }),
    );
    const sameSecond = addBackup(bucket, ...at(4, { runId: "gone" }));
    bucket.objects.delete(sameSecond.object);
    const later = addBackup(bucket, ...at(5, { runId: "later" }));
    bucket.objects.delete(later.object);
    bucket.objects.set(`${later.object}.v2`, Buffer.from("x"));
    bucket.objects.set("prod/20260820T170000Z-nodata.db", Buffer.from("x"));
    bucket.objects.set(".probe-00000000-0000-0000-0000-000000000000", Buffer.from("x"));
    bucket.objects.set("notes.txt", Buffer.from("x"));
    await claim(bucket, ["cafe", 0]);
    const twin = memoryStore();
    for (const [name, bytes] of bucket.objects) twin.objects.set(name, bytes);
    const before = new Date(begin + 100 * hourMs);
    const rest = await refresh(true);
    assert.equal(await sweepAbandoned(bucket, { before, objects: rest, signal }), 3);
    await sweepAbandoned(twin, { before, signal });
    assert.deepEqual([...bucket.objects.keys()].toSorted(), [...twin.objects.keys()].toSorted());
    assert.ok(rest.length < 8, "no part of a complete backup is kept");
  });

  it("stays right when it may remember only two manifests, and drops those learned first", async () => {
    const bucket = memoryStore();
    for (const hour of [1, 2, 3]) addBackup(bucket, ...at(hour));
    const facts = new FactMemory(2);
    const catalog = new StoreCatalog({ open: async () => bucket, facts });
    await catalog.refresh(bucket, { signal });
    for (let pass = 0; pass < 2; pass++) assert.equal((await catalog.folder("prod", signal)).length, 3);
    assert.equal(facts.size, 2);
    catalog.forget();
    assert.equal(facts.size, 0);
  });

  it("forgets the facts of what is gone", async () => {
    const { bucket, added } = begun(at(1), at(2));
    const facts = new FactMemory();
    const catalog = new StoreCatalog({ open: async () => bucket, facts });
    await catalog.refresh(bucket, { signal });
    await catalog.folder("prod", signal);
    for (const { object, data } of added.slice(0, 1)) {
      bucket.objects.delete(object);
      bucket.objects.delete(data);
    }
    bucket.objects.delete(added[1]?.data ?? "");
    await catalog.refresh(bucket, { signal });
    assert.equal(facts.size, 1);
    assert.match((await catalog.folder("prod", signal))[0]?.problem ?? "", /\.db\.zst is missing/);
  });
});

describe("a folder as retention sees it", () => {
  it("says of each backup why it cannot be restored", async () => {
    const { bucket, added, refresh, folder } = begun(at(1), at(2), at(3), at(4), at(5));
    const [, missing, short, torn, later] = added;
    assert.ok(missing && short && torn && later);
    bucket.objects.delete(missing.data);
    bucket.objects.set(short.data, Buffer.from("d"));
    bucket.objects.set(torn.object, Buffer.from("{"));
    bucket.objects.set(later.object, Buffer.from(JSON.stringify({ ...later.manifest, formatVersion: 2 })));
    await refresh();
    const problems = (await folder()).map(({ problem }) => problem);
    for (const [place, expected] of [/version 2/, /not JSON/, /is 1 bytes/, /is missing/].entries())
      assert.match(problems[place] ?? "", expected);
    assert.equal(problems[4], undefined);
  });

  it("says of a manifest that names the data of another backup that it is damaged", async () => {
    const { bucket, added, refresh, folder } = begun(at(1), at(2));
    const [good, forged] = added;
    assert.ok(good && forged);
    const stored = { ...forged.manifest.stored, object: good.data };
    bucket.objects.set(forged.object, encodeManifest({ ...forged.manifest, stored }));
    await refresh();
    const [first, second] = await folder();
    assert.match(first?.problem ?? "", /stored\.object .* is not the data of this backup/);
    assert.equal(second?.problem, undefined);
  });

  it("reads a damaged manifest twice, at two times, since a short answer looks like damage", async () => {
    const { bucket, added, names, refresh, folder, reads } = begun(at(1), at(2));
    const [flaky, torn] = added;
    assert.ok(flaky && torn);
    bucket.objects.set(torn.object, Buffer.from("{"));
    const whole = bucket.objects.get(flaky.object) ?? Buffer.alloc(0);
    bucket.objects.set(flaky.object, whole.subarray(0, 99));
    await refresh();
    assert.deepEqual(
      (await folder()).map(({ problem }) => problem !== undefined),
      [true, true],
    );
    bucket.objects.set(flaky.object, whole);
    assert.deepEqual(
      (await folder()).map(({ problem }) => problem !== undefined),
      [true, false],
    );
    reads();
    await folder();
    await folder();
    assert.deepEqual([reads(), names.length], [[], 2]);
  });

  it("has the place of each backup's cluster in the lineage, and none for a stranger", async () => {
    const { bucket, refresh, folder } = begun(
      at(1, { clusterId: "a" }),
      at(11, { clusterId: "b" }),
      at(12, { clusterId: "e" }),
      at(21, { clusterId: "a" }),
      // Before it was let in, a cluster has no backup in the folder.
      at(3, { clusterId: "b" }),
    );
    await claim(bucket, ["a", 0], ["b", 10], ["a", 20]);
    await refresh();
    const generations = (await folder()).map(({ revision, generation }) => [revision, generation]);
    assert.deepEqual(generations, [
      [121, 2],
      [112, undefined],
      [111, 1],
      [103, undefined],
      [101, 0],
    ]);
  });

  it("is of generation 0 without a claim, and throws with one that cannot be read", async () => {
    const { bucket, refresh, folder } = begun(at(1), at(2, { clusterId: "e" }));
    await refresh();
    assert.deepEqual(
      (await folder()).map(({ generation }) => generation),
      [0, 0],
    );
    bucket.objects.set("prod/claim/00000000000000000001.json", Buffer.from("?"));
    await refresh();
    await assert.rejects(folder(), { code: "VerificationFailed" });
  });

  it("has the series of each manifest, and none where it names none", async () => {
    const { bucket, added, refresh, folder } = begun(at(1), at(2), at(3), at(4));
    const whole = { name: "nightly", namespace: "ns", kubernetesCluster: "uid" };
    for (const [place, series] of [whole, { name: "by-hand" }].entries()) {
      const backup = added[place];
      assert.ok(backup);
      bucket.objects.set(backup.object, encodeManifest({ ...backup.manifest, series }));
    }
    await refresh();
    for (let pass = 0; pass < 2; pass++)
      assert.deepEqual(
        (await folder()).map(({ series }) => series),
        [undefined, undefined, { name: "by-hand" }, whole],
      );
  });

  it("throws when the store fails, and is empty only where the listing shows no backup", async () => {
    const { bucket, refresh, folder } = begun(at(1));
    await refresh();
    bucket.beforeCall = () => {
      throw new OperatorError("Unreachable", "no network");
    };
    await assert.rejects(folder(), { code: "Unreachable" });
    assert.deepEqual(await folder("other"), []);
  });
});
