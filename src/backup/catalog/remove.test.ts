import assert from "node:assert/strict";
import { it } from "node:test";
import { memoryStore } from "../../store/memory/memory-store.fixture.ts";
import { addBackup } from "../manifest/manifest.fixture.ts";
import { encodeManifest } from "../manifest/manifest.ts";
import { removeBackup } from "./remove.ts";

const { signal } = new AbortController();
const clusterName = "prod";

it("a backup goes with its manifest first and its data then", async () => {
  const store = memoryStore();
  const { manifest, object, data } = addBackup(store);
  const removed: string[] = [];
  store.beforeCall = (call, name) => void (call === "remove" && removed.push(name));
  await removeBackup(store, { clusterName, name: manifest.name, signal });
  assert.deepEqual(removed, [object, data]);
  assert.deepEqual([...store.objects.keys()], []);
});

it("the data of another backup stays, which a forged manifest may name", async () => {
  const store = memoryStore();
  const good = addBackup(store, { runId: "good" });
  const forged = addBackup(store, { runId: "forged", revision: 1 });
  const stored = { ...forged.manifest.stored, object: good.data };
  store.objects.set(forged.object, encodeManifest({ ...forged.manifest, stored }));
  await removeBackup(store, { clusterName, name: forged.manifest.name, signal });
  assert.deepEqual([...store.objects.keys()].toSorted(), [good.data, good.object].toSorted());
});

it("the data of a backup whose manifest cannot be read goes by its name", async () => {
  const store = memoryStore();
  const { manifest, object } = addBackup(store);
  store.objects.set(object, Buffer.from("?"));
  await removeBackup(store, { clusterName, name: manifest.name, signal });
  assert.deepEqual([...store.objects.keys()], []);
});
