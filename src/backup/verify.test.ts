import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { zstdCompressSync } from "node:zlib";
import { snapshotFile } from "../../test/testdata/snapshot-files.ts";
import { OperatorError } from "../core/errors.ts";
import { breakingStore } from "./broken-store.fixture.ts";
import type { Manifest } from "./manifest/manifest.ts";
import { type MemoryStore, memoryStore } from "../store/memory/memory-store.fixture.ts";
import { saveFile } from "./saved.fixture.ts";
import { describeFailures, verifyStored } from "./verify.ts";

const { signal } = new AbortController();
const file = snapshotFile("churned-3.6");

/** A backup in memory, as `save` writes it. */
async function backup(
  compression: "Zstd" | "None",
): Promise<{ store: MemoryStore; manifest: Manifest; object: Buffer }> {
  const store = memoryStore();
  const manifest = await saveFile(file, store, { clusterName: "lab", compression });
  return { store, manifest, object: store.objects.get(manifest.stored.object) ?? Buffer.alloc(0) };
}

function flip(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
  return copy;
}

async function failures(store: MemoryStore, manifest: Manifest): Promise<string[]> {
  const { checks } = await verifyStored(store, manifest, { signal });
  return checks.filter((check) => !check.ok).map((check) => check.check);
}

for (const compression of ["Zstd", "None"] as const) {
  test(`a sound object passes every check, and yields the snapshot byte for byte (${compression})`, async () => {
    const { store, manifest, object } = await backup(compression);
    const written: Buffer[] = [];
    const reports: [number, number][] = [];
    const { checks } = await verifyStored(store, manifest, {
      signal,
      write: async (chunk) => void written.push(Buffer.from(chunk)),
      onProgress: (done, total) => reports.push([done, total]),
    });
    assert.deepEqual(
      checks.filter((check) => !check.ok),
      [],
    );
    assert.deepEqual(
      checks.map(({ check }) => check),
      [
        "stored size",
        "stored SHA-256",
        "stored CRC-32C",
        "unpack",
        "SHA-256 trailer",
        "page structure",
        "plain SHA-256",
        "plain CRC-32C",
        "status hash",
        "revision",
        "total keys",
        "total size",
      ],
    );
    assert.ok(file.equals(Buffer.concat(written)));
    assert.deepEqual(reports.at(-1), [object.length, object.length]);
    assert.equal(describeFailures(checks), undefined);
  });

  test(`an altered byte anywhere in the stored object fails a check (${compression})`, async () => {
    const { store, manifest, object } = await backup(compression);
    const step = Math.ceil(object.length / 40);
    for (let at = 0; at < object.length; at += step) {
      store.objects.set(manifest.stored.object, flip(object, at));
      const failed = await failures(store, manifest);
      assert.ok(failed.length > 0, `byte ${at} of ${object.length}`);
    }
  });

  test(`an object that is truncated at either end fails a check (${compression})`, async () => {
    const { store, manifest, object } = await backup(compression);
    for (const cut of [
      object.subarray(0, -1),
      object.subarray(1),
      object.subarray(0, 100),
      Buffer.alloc(0),
    ]) {
      store.objects.set(manifest.stored.object, Buffer.from(cut));
      assert.ok((await failures(store, manifest)).includes("stored size"), `${cut.length} bytes`);
    }
  });
}

test("another sound snapshot in its place fails the digests and the status, but not the trailer", async () => {
  const { store, manifest } = await backup("Zstd");
  store.objects.set(manifest.stored.object, zstdCompressSync(snapshotFile("mixed-3.6")));
  const failed = await failures(store, manifest);
  for (const check of ["stored SHA-256", "plain SHA-256", "plain CRC-32C", "status hash", "revision"])
    assert.ok(failed.includes(check), `${check} in ${failed.join()}`);
  assert.ok(!failed.includes("SHA-256 trailer"));
});

test("the same snapshot with another compression fails only the checks of the stored bytes", async () => {
  const { store, manifest, object } = await backup("Zstd");
  const other = zstdCompressSync(file);
  assert.notEqual(other.length, object.length);
  store.objects.set(manifest.stored.object, other);
  assert.deepEqual(await failures(store, manifest), ["stored size", "stored SHA-256", "stored CRC-32C"]);
});

test("damage that ends the decompression early is a failed check, not an error", async () => {
  const { store, manifest } = await backup("Zstd");
  const packed = zstdCompressSync(randomBytes(4 * 1024 * 1024));
  for (const bytes of [randomBytes(4 * 1024 * 1024), damaged(packed), packed.subarray(0, 1024 * 1024)]) {
    store.objects.set(manifest.stored.object, Buffer.from(bytes));
    const failed = await failures(store, manifest);
    assert.ok(failed.includes("unpack"), failed.join());
  }
});

/** Block headers overwritten in the middle. */
function damaged(packed: Buffer): Buffer {
  const copy = Buffer.from(packed);
  copy.fill(0xff, 1024 * 1024, 1024 * 1024 + 200_000);
  return copy;
}

test("each field of the manifest is compared", async () => {
  const { store, manifest } = await backup("Zstd");
  const { snapshot, stored } = manifest;
  const lies: [string, Manifest][] = [
    ["status hash", { ...manifest, snapshot: { ...snapshot, hash: "00000000" } }],
    ["revision", { ...manifest, snapshot: { ...snapshot, revision: snapshot.revision + 1 } }],
    ["total keys", { ...manifest, snapshot: { ...snapshot, totalKeys: snapshot.totalKeys + 1 } }],
    ["total size", { ...manifest, snapshot: { ...snapshot, totalSizeBytes: 1 } }],
    ["plain SHA-256", { ...manifest, snapshot: { ...snapshot, sha256: "0".repeat(64) } }],
    ["plain CRC-32C", { ...manifest, snapshot: { ...snapshot, crc32c: "00000000" } }],
    ["stored SHA-256", { ...manifest, stored: { ...stored, sha256: "0".repeat(64) } }],
    ["stored CRC-32C", { ...manifest, stored: { ...stored, crc32c: "00000000" } }],
    ["stored size", { ...manifest, stored: { ...stored, bytes: 1 } }],
  ];
  for (const [check, lie] of lies) assert.deepEqual(await failures(store, lie), [check]);
});

test("an error of the store is thrown, and is not a failed check", async () => {
  const { store, manifest } = await backup("Zstd");
  const away = new OperatorError("Unreachable", "connection refused");
  const { get } = store;
  store.get = async function* (name, options) {
    let sent = 0;
    for await (const chunk of get.call(store, name, options)) {
      yield chunk.subarray(0, 1000);
      sent += 1;
      if (sent === 1) throw away;
    }
  };
  const sleep = async () => {};
  await assert.rejects(verifyStored(store, manifest, { signal, sleep }), (error) => error === away);
});

for (const compression of ["Zstd", "None"] as const) {
  test(`a read that breaks goes on, and every check compares every byte once (${compression})`, async () => {
    const { manifest, object } = await backup(compression);
    const store = breakingStore(object, [1_500, 0, 700]);
    const written: Buffer[] = [];
    const { checks } = await verifyStored(store, manifest, {
      signal,
      sleep: async () => {},
      write: async (chunk) => void written.push(Buffer.from(chunk)),
    });
    assert.equal(describeFailures(checks), undefined);
    assert.equal(checks.length, 12);
    assert.ok(file.equals(Buffer.concat(written)));
    assert.equal(store.ranges.length, 4);
  });
}

test("an object that is longer than its manifest says fails also when the read breaks", async () => {
  const { manifest, object } = await backup("None");
  const store = breakingStore(Buffer.concat([object, Buffer.alloc(9)]), [object.length]);
  const { checks } = await verifyStored(store, manifest, { signal, sleep: async () => {} });
  assert.match(describeFailures(checks) ?? "", /stored size/);
});

test("an error of `write` is thrown, and is not a failed check", async () => {
  const { store, manifest } = await backup("Zstd");
  const full = new OperatorError("StoreFailed", "no space is left");
  const reading = verifyStored(store, manifest, {
    signal,
    write: async () => {
      throw full;
    },
  });
  await assert.rejects(reading, (error) => error === full);
});

test("an abort throws its reason", async () => {
  const { store, manifest } = await backup("None");
  const abort = new AbortController();
  const reason = new OperatorError("Aborted", "stopped by Ctrl-C");
  const reading = verifyStored(store, manifest, {
    signal: abort.signal,
    onProgress: () => abort.abort(reason),
  });
  await assert.rejects(reading, (error) => error === reason);
});
