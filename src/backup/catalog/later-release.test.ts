import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { memoryStore } from "../../store/memory/memory-store.fixture.ts";
import { addBackup } from "../manifest/manifest.fixture.ts";
import { findBackup } from "./find.ts";
import { StoreCatalog } from "./store-catalog.ts";
import { listBackups } from "./list.ts";
import { removeRun, sweepAbandoned, sweepRun } from "./orphans.ts";

const { signal } = new AbortController();
const runPrefix = "0f1e2d3c4b5ax";
const query = { clusterName: "prod", runPrefix, signal };
const before = new Date("2027-01-01T00:00:00Z");

/** Objects of kinds that a later release may store, among them some that look like those of backups. */
const laterObjects = [
  "prod/archive/00000000000000000042-00000000000000000099.seg.zst",
  `prod/archive/20260820T120000Z-${runPrefix}1.db.zst`,
  `prod/archive/20260820T120000Z-r00000000000000000042-${runPrefix}1.json`,
  "prod/drills/20260820T120000Z-ab12x1.json",
  `prod/drills/20260820T120000Z-${runPrefix}1.db`,
  "prod/restores/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0.json",
  "prod/keys/2026-08.json",
  "prod/claim.json",
  "prod/claim/00000000000000000001.json",
  "prod/catalog.json",
  "prod/catalog/2026.json",
  `prod/parts/20260820T120000Z-${runPrefix}1.db`,
  `prod/20260820T120000Z-${runPrefix}1.db.age`,
  `prod/20260820T120000Z-${runPrefix}1.db.zst.0001`,
];

describe("what a later release has stored", () => {
  it("is not listed, not counted and not deleted: objects of other kinds", async () => {
    const store = memoryStore();
    for (const name of laterObjects) {
      store.objects.set(name, Buffer.from("later"));
      store.unfinished.push({ name, begun: new Date(0) });
    }
    assert.deepEqual(await listBackups(store, { signal }), []);
    const catalog = new StoreCatalog({ open: async () => store });
    await catalog.refresh(store, { signal });
    assert.deepEqual(await catalog.summarize(store, signal), { count: 0, newest: undefined, unreadable: [] });
    assert.equal(await sweepAbandoned(store, { before, signal }), 0);
    assert.equal(await sweepRun(store, { ...query, before }), 0);
    await removeRun(store, query);
    assert.deepEqual([...store.objects.keys()], laterObjects);
    assert.equal(store.unfinished.length, laterObjects.length);
  });

  for (const ending of [".v2.json", ".toml", ".manifest", "-2.json"]) {
    it(`is no orphan: data whose manifest has another name (${ending})`, async () => {
      const store = memoryStore();
      const { object, data } = addBackup(store, { runId: `${runPrefix}1` });
      store.objects.delete(object);
      store.objects.set(object.replace(".json", ending), Buffer.from("later"));
      const kept: string[] = [];
      const onKept = (name: string) => void kept.push(name);
      assert.equal(await sweepAbandoned(store, { before, signal, onKept }), 0);
      assert.equal(await sweepRun(store, { ...query, before, onKept }), 0);
      assert.ok(store.objects.has(data));
      assert.deepEqual(kept, [data, data]);
    });
  }

  it("is no orphan and no damage: a backup of another format version", async () => {
    const store = memoryStore();
    const { object, data, manifest } = addBackup(store, { runId: `${runPrefix}1` });
    store.objects.set(object, Buffer.from(JSON.stringify({ formatVersion: 7, everything: "else" })));
    assert.equal(await sweepAbandoned(store, { before, signal }), 0);
    assert.equal(await sweepRun(store, { ...query, before }), 0);
    assert.ok(store.objects.has(data) && store.objects.has(object));
    const [entry] = await listBackups(store, { signal });
    assert.equal(entry?.isOfLaterRelease, true);
    assert.match(entry?.problem ?? "", /format version 7 is not supported, only 1/);
    for (const name of [manifest.name, "latest"]) {
      await assert.rejects(findBackup(store, { name, signal }), {
        code: "Refused",
        message: /format version 7 is not supported/,
        hint: /release of etcd-backup that wrote it, or a newer one/,
      });
    }
  });
});
