import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { OperatorError } from "../../core/errors.ts";
import { listBackups } from "./list.ts";
import { type BackupIdentity, addBackup } from "../manifest/manifest.fixture.ts";
import { type MemoryStore, memoryStore } from "../../store/memory/memory-store.fixture.ts";
import { type Orphan, findBackupsOfRun, removeRun, sweepAbandoned, sweepRun } from "./orphans.ts";

const { signal } = new AbortController();
const uid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
const runPrefix = "0f1e2d3c4b5ax";
const query = { clusterName: "prod", runPrefix, signal };
const otherUid = "99999999-9999-6978-8796-a5b4c3d2e1f0";

const attempt = (n: number, over: BackupIdentity = {}): BackupIdentity => ({
  time: `2026-08-20T12:0${n}:00Z`,
  revision: 40 + n,
  runId: `${runPrefix}${n}`,
  ownerUid: uid,
  ...over,
});

/** Adds data without a manifest. */
function addOrphan(store: MemoryStore, identity: BackupIdentity, at = new Date(0)): string {
  const { object, data } = addBackup(store, identity, at);
  store.objects.delete(object);
  return data;
}

const removed = (store: MemoryStore) =>
  store.calls.flatMap((call) => (call.startsWith("remove ") ? [call.slice("remove ".length)] : []));

/** Makes listings throw at this name. */
function breakOffAt(store: MemoryStore, name: string): void {
  const { list } = store;
  store.list = async function* (prefix, options) {
    for await (const object of list(prefix, options)) {
      if (object.name === name) throw new OperatorError("Unreachable", "reset");
      yield object;
    }
  };
}

describe("findBackupsOfRun", () => {
  it("finds the backups of all attempts, newest first", async () => {
    const store = memoryStore();
    for (const n of [2, 1, 3]) addBackup(store, attempt(n));
    const found = await findBackupsOfRun(store, { ...query, uid });
    assert.deepEqual(
      found.map(({ run }) => run.id),
      [3, 2, 1].map((n) => `${runPrefix}${n}`),
    );
  });

  it("finds none of other resources, and does not read their manifests", async () => {
    const store = memoryStore();
    addBackup(store, attempt(1, { runId: "99999999999x1", ownerUid: otherUid }));
    addBackup(store, attempt(2, { clusterName: "prod-2" }));
    assert.deepEqual(await findBackupsOfRun(store, { ...query, uid }), []);
    assert.deepEqual(store.calls, ["list prod/"]);
  });

  it("finds none of a resource whose UID has the same prefix, and none without an owner", async () => {
    const store = memoryStore();
    addBackup(store, attempt(1, { ownerUid: `${uid.slice(0, -1)}1` }));
    const { ownerUid: _, ...unowned } = attempt(2);
    addBackup(store, unowned);
    assert.deepEqual(await findBackupsOfRun(store, { ...query, uid }), []);
  });

  it("leaves out a damaged backup, and finds the others", async () => {
    const store = memoryStore();
    addBackup(store, attempt(1));
    store.objects.delete(addBackup(store, attempt(2)).data);
    const found = await findBackupsOfRun(store, { ...query, uid });
    assert.deepEqual(
      found.map(({ run }) => run.id),
      [`${runPrefix}1`],
    );
  });

  it("throws when the listing breaks off", async () => {
    const store = memoryStore();
    breakOffAt(store, addBackup(store, attempt(1)).object);
    await assert.rejects(findBackupsOfRun(store, { ...query, uid }), { code: "Unreachable" });
  });
});

describe("removeRun", () => {
  it("deletes the objects of every attempt, manifests first, and no others", async () => {
    const store = memoryStore();
    const one = addBackup(store, attempt(1));
    const two = addBackup(store, attempt(2));
    const orphan = addOrphan(store, attempt(3));
    const others = [attempt(4, { runId: "99999999999x1" }), attempt(5, { clusterName: "prod-2" })].flatMap(
      (identity) => {
        const { object, data } = addBackup(store, identity);
        return [object, data];
      },
    );
    store.objects.set(`prod/${runPrefix}1.txt`, Buffer.from("a person's"));
    await removeRun(store, query);
    assert.deepEqual(removed(store), [one.object, two.object, one.data, two.data, orphan]);
    assert.deepEqual([...store.objects.keys()].toSorted(), [...others, `prod/${runPrefix}1.txt`].toSorted());
  });

  it("leaves no listed backup without data when it fails halfway, and finishes the next time", async () => {
    const store = memoryStore();
    addBackup(store, attempt(1));
    addBackup(store, attempt(2));
    for (const broken of [0, 1, 2]) {
      let left = broken;
      store.beforeCall = (call) => {
        if (call === "remove" && left-- === 0) throw new OperatorError("Unreachable", "reset");
      };
      const before = store.objects.size;
      await assert.rejects(removeRun(store, query), { code: "Unreachable" });
      assert.equal(store.objects.size, before - broken);
      assert.ok((await listBackups(store, { signal })).every(({ problem }) => problem === undefined));
    }
    store.beforeCall = () => {};
    await removeRun(store, query);
    await removeRun(store, query);
    assert.equal(store.objects.size, 0);
  });

  it("deletes nothing when the listing breaks off", async () => {
    const store = memoryStore();
    addBackup(store, attempt(1));
    breakOffAt(store, addBackup(store, attempt(2)).object);
    await assert.rejects(removeRun(store, query), { code: "Unreachable" });
    assert.equal(store.objects.size, 4);
  });
});

const long = new Date("2026-08-20T12:00:00Z");
const recent = new Date("2026-08-20T13:00:00Z");

describe("sweepRun", () => {
  it("deletes the unfinished uploads and the data without a manifest of one resource, and counts them", async () => {
    const store = memoryStore();
    const kept = addBackup(store, attempt(1));
    addOrphan(store, attempt(2));
    const other = addOrphan(store, attempt(3, { runId: "99999999999x1" }));
    const elsewhere = addOrphan(store, attempt(4, { clusterName: "prod-2" }));
    const upload = (name: string) => store.unfinished.push({ name, begun: long });
    upload(`prod/20260820T120000Z-${runPrefix}3.db.zst`);
    upload("prod/20260820T120000Z-99999999999x1.db");
    upload(`prod-2/20260820T120000Z-${runPrefix}3.db`);
    assert.equal(await sweepRun(store, { ...query, before: recent }), 2);
    assert.deepEqual(
      [...store.objects.keys()].toSorted(),
      [kept.object, kept.data, other, elsewhere].toSorted(),
    );
    assert.deepEqual(
      store.unfinished.map(({ name }) => name),
      ["prod/20260820T120000Z-99999999999x1.db", `prod-2/20260820T120000Z-${runPrefix}3.db`],
    );
  });

  it("keeps objects that are not older than `before`", async () => {
    const store = memoryStore();
    addOrphan(store, attempt(1), recent);
    store.unfinished.push({ name: `prod/20260820T120000Z-${runPrefix}3.db`, begun: recent });
    assert.equal(await sweepRun(store, { ...query, before: recent }), 0);
    assert.deepEqual([store.objects.size, store.unfinished.length], [1, 1]);
  });
});

describe("sweepAbandoned", () => {
  it("deletes the other objects where one is under object lock, and throws the error of that one", async () => {
    const store = memoryStore();
    const [locked, other] = [addOrphan(store, attempt(1)), addOrphan(store, attempt(2))];
    store.beforeCall = (call, name) => {
      if (call === "remove" && name === locked) throw new OperatorError("Refused", "under object lock");
    };
    await assert.rejects(sweepAbandoned(store, { before: new Date(), signal }), { code: "Refused" });
    assert.deepEqual([store.objects.has(locked), store.objects.has(other)], [true, false]);
  });

  it("deletes old uploads and data without a manifest of every cluster, and counts them", async () => {
    const store = memoryStore();
    const kept = addBackup(store, attempt(1), long);
    addOrphan(store, attempt(2), long);
    addOrphan(store, attempt(3, { clusterName: "lab", runId: "abcd" }), long);
    const young = addOrphan(store, attempt(4), recent);
    const upload = (name: string, begun: Date) => store.unfinished.push({ name, begun });
    upload("prod/20260820T120000Z-abcd.db", long);
    upload("prod/20260820T120000Z-r00000000000000000042-abcd.json", long);
    upload("prod/20260820T120000Z-efgh.db", recent);
    assert.equal(await sweepAbandoned(store, { before: recent, signal }), 4);
    assert.deepEqual([...store.objects.keys()].toSorted(), [kept.object, kept.data, young].toSorted());
    assert.deepEqual(
      store.unfinished.map(({ name }) => name),
      ["prod/20260820T120000Z-efgh.db"],
    );
  });

  it("keeps objects with other names, however old", async () => {
    const store = memoryStore();
    const names = [
      "notes.db",
      "prod/backup.db",
      "a/b/20260820T120000Z-abcd.db",
      "prod/20260820T120000Z-ABCD.db",
      "prod/20260820T120000Z-abcd.db.gz",
    ];
    for (const name of names) store.objects.set(name, Buffer.from("x"));
    store.unfinished.push({ name: "somebody/elses.bin", begun: long });
    assert.equal(await sweepAbandoned(store, { before: recent, signal }), 0);
    assert.deepEqual([...store.objects.keys()], names);
    assert.equal(store.unfinished.length, 1);
  });

  it("deletes the object of a killed probe once it is old", async () => {
    const store = memoryStore();
    const old = ".probe-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
    const others = [
      ".probe-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f1",
      ".probe-results",
      "prod/.probe-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
    ];
    for (const name of [old, ...others]) {
      store.objects.set(name, Buffer.from("x"));
      store.modified.set(name, name === others[0] ? recent : long);
    }
    store.unfinished.push({ name: old, begun: long });
    assert.equal(await sweepAbandoned(store, { before: recent, signal }), 2);
    assert.deepEqual([...store.objects.keys()], others);
    assert.deepEqual(store.unfinished, []);
  });

  it("finds with dryRun what a sweep deletes, with age, size and kind, and deletes nothing", async () => {
    const store = memoryStore();
    addBackup(store, attempt(1), long);
    const data = addOrphan(store, attempt(2), long);
    addOrphan(store, attempt(3), recent);
    const probe = ".probe-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
    store.objects.set(probe, Buffer.from("x"));
    const upload = "prod/20260820T120000Z-abcd.db";
    store.unfinished.push({ name: upload, begun: long });
    const before = [[...store.objects.keys()], [...store.unfinished]];
    const found: Orphan[] = [];
    const scope = { before: recent, signal, onOrphan: (orphan: Orphan) => void found.push(orphan) };
    assert.equal(await sweepAbandoned(store, { ...scope, dryRun: true }), 3);
    assert.deepEqual(found, [
      { object: upload, modified: long, size: undefined, kind: "UnfinishedUpload" },
      { object: data, modified: long, size: 4, kind: "DataWithoutManifest" },
      { object: probe, modified: new Date(0), size: 1, kind: "Probe" },
    ]);
    assert.deepEqual([[...store.objects.keys()], [...store.unfinished]], before);
    const planned = found.splice(0);
    assert.equal(await sweepAbandoned(store, scope), 3);
    assert.deepEqual(found, planned);
    assert.deepEqual([store.objects.has(data), store.objects.has(probe)], [false, false]);
  });

  it("sweeps only the folder of a cluster that it is given, and no probe", async () => {
    const store = memoryStore();
    const own = addOrphan(store, attempt(1), long);
    const rest = [addOrphan(store, attempt(2, { clusterName: "prod-2" }), long)];
    rest.push(".probe-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0");
    store.objects.set(rest[1] ?? "", Buffer.from("x"));
    store.unfinished.push({ name: "prod-2/20260820T120000Z-abcd.db", begun: long });
    assert.equal(await sweepAbandoned(store, { before: recent, clusterName: "prod", signal }), 1);
    assert.deepEqual(
      [store.objects.has(own), [...store.objects.keys()].toSorted()],
      [false, rest.toSorted()],
    );
    assert.equal(store.unfinished.length, 1);
  });

  it("keeps a damaged manifest and its data, for a person to inspect", async () => {
    const store = memoryStore();
    const { object } = addBackup(store, attempt(1), long);
    store.objects.set(object, Buffer.from("?"));
    assert.equal(await sweepAbandoned(store, { before: recent, signal }), 0);
    assert.equal(store.objects.size, 2);
  });

  it("deletes nothing when the listing breaks off before the manifest", async () => {
    const store = memoryStore();
    breakOffAt(store, addBackup(store, attempt(1), long).object);
    await assert.rejects(sweepAbandoned(store, { before: recent, signal }), { code: "Unreachable" });
    assert.equal(store.objects.size, 2);
  });

  it("deletes exactly the old orphans, whatever else the store holds", async () => {
    const thing = fc.record({
      clusterName: fc.constantFrom("prod", "prod-2", "lab"),
      minute: fc.nat(3),
      revision: fc.nat(3),
      runId: fc.constantFrom("abcd", "abcde", `${runPrefix}1`, `${runPrefix}12`, "r000"),
      what: fc.constantFrom("backup" as const, "orphan" as const, "damaged" as const, "stranger" as const),
      old: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(thing, { maxLength: 12 }), async (things) => {
        const store = memoryStore();
        const keep = new Set<string>();
        const drop = new Set<string>();
        for (const { clusterName, minute, revision, runId, what, old } of things) {
          const identity = { clusterName, revision, runId, time: `2026-08-20T12:0${minute}:00Z` };
          const at = old ? long : recent;
          if (what === "stranger") {
            const name = `${clusterName}/${runId}.db`;
            store.objects.set(name, Buffer.from("x"));
            keep.add(name);
          } else if (what === "orphan") {
            const name = `${clusterName}/20260820T120${minute}00Z-${runId}.db.zst`;
            if (store.objects.has(name)) continue;
            store.objects.set(name, Buffer.from("data"));
            store.modified.set(name, at);
            (old ? drop : keep).add(name);
          } else {
            const { object, data } = addBackup(store, identity, at);
            if (what === "damaged") store.objects.set(object, Buffer.from("?"));
            for (const name of [object, data]) {
              keep.add(name);
              drop.delete(name);
            }
          }
        }
        assert.equal(await sweepAbandoned(store, { before: recent, signal }), drop.size);
        assert.deepEqual([...store.objects.keys()].toSorted(), [...keep].toSorted());
      }),
    );
  });
});
