import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { writeMarker } from "../restore/marker.ts";
import { memoryStore } from "../store/memory/memory-store.fixture.ts";
import { fetchSnapshot } from "./fetch-step.ts";

const { signal } = new AbortController();
const id = "7f6d4c9e-1d0c-4a55-9f35-0d0f5b0c1c11";

it("beside the data of its own restore removes only its work folder, and asks nothing of the store", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "fetch-step-"));
  try {
    await mkdir(join(dataDir, "member"));
    await mkdir(join(dataDir, `.restoring-${id}`));
    await writeMarker(dataDir, { restore: id });
    const store = memoryStore();
    const restore = { id, dataDir, clusterName: "prod", backup: "gone", sha256: "" };
    assert.equal(await fetchSnapshot(restore, { store, signal, onProgress() {} }), "placed");
    assert.deepEqual(store.calls, []);
    assert.deepEqual(await readdir(dataDir), ["member"]);
  } finally {
    await rm(dataDir, { recursive: true });
  }
});
