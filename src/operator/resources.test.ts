import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeClient } from "../kube/client.ts";
import { operatorResources } from "./resources.ts";

test("a closed fence refuses every write to the API server", async () => {
  const { signal } = new AbortController();
  const written: string[] = [];
  const recordWrite = (what: string) => async () => void written.push(what);
  const client = {
    applyStatus: recordWrite("status"),
    patchMetadata: recordWrite("metadata"),
    create: recordWrite("object"),
  } as unknown as KubeClient;
  let isOpen = true;
  const resources = operatorResources(client, {
    check() {
      if (!isOpen) throw new Error("closed");
    },
  });
  const object = { metadata: { name: "o", namespace: "ns", uid: "u", resourceVersion: "1" } };
  const writes = () => [
    resources.writeStatus(object as never, { observedGeneration: 1 }, signal),
    resources.writeFinalizers(object as never, [], signal),
    resources.writeStoreFinalizers(object as never, [], signal),
    resources.writeStoreStatus(object as never, { observedGeneration: 1 }, signal),
    resources.replaceStoreStatus(object as never, { observedGeneration: 1 }, signal),
    resources.writeRestoreStatus(object as never, { observedGeneration: 1 }, signal),
    resources.create("Job", object as never, signal),
  ];
  await Promise.all(writes());
  assert.deepEqual(written, ["status", "metadata", "metadata", "status", "status", "status", "object"]);
  isOpen = false;
  for (const write of writes()) await assert.rejects(write, /closed/);
  assert.equal(written.length, 7);
});
