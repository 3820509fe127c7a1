import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { test } from "node:test";
import { expectedStatuses, readWhole, snapshotFile, statusOf } from "../../test/testdata/snapshot-files.ts";
import { readSnapshot } from "./read.ts";

const { signal } = new AbortController();

function chunks(bytes: Buffer, size: number): Readable {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) parts.push(bytes.subarray(at, at + size));
  return Readable.from(parts);
}

test("reading a snapshot file gives status, trailer and digests", async () => {
  for (const [name, expected] of expectedStatuses()) {
    const file = snapshotFile(name);
    const seen: number[] = [];
    const reading = await readSnapshot(chunks(file, 50_000), {
      signal,
      onProgress: (bytes) => seen.push(bytes),
    });
    assert.equal(statusOf(reading).hash, expected.hash);
    assert.equal(reading.trailer, "valid");
    assert.equal(reading.fileBytes, file.length);
    assert.equal(reading.size, file.length - 32);
    assert.equal(reading.sha256, file.subarray(-32).toString("hex"));
    assert.equal(reading.fileSha256, createHash("sha256").update(file).digest("hex"));
    assert.equal(seen.at(-1), file.length);
  }
});

test("a database without a trailer is read to its end", async () => {
  const database = snapshotFile("mixed-3.5").subarray(0, -32);
  const reading = await readSnapshot(chunks(database, 33_333), { signal });
  assert.equal(reading.trailer, "missing");
  assert.equal(reading.size, database.length);
  assert.deepEqual(reading.status, readWhole(database).status);
  assert.deepEqual(reading.violations, []);
});

test("a wrong trailer is not a damaged database", async () => {
  const file = snapshotFile("mixed-3.5");
  file.writeUInt8(file.readUInt8(file.length - 1) ^ 1, file.length - 1);
  const reading = await readSnapshot(chunks(file, 33_333), { signal });
  assert.equal(reading.trailer, "wrong");
  assert.deepEqual(reading.violations, []);
});

test("an aborted read throws the signal's reason, and a failing source its own error", async () => {
  const abort = new AbortController();
  const reason = new Error("enough");
  const reading = readSnapshot(chunks(snapshotFile("mixed-3.5"), 1000), {
    signal: abort.signal,
    onProgress: () => abort.abort(reason),
  });
  await assert.rejects(reading, reason);
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield Buffer.alloc(10);
    throw new RangeError("source");
  }
  await assert.rejects(readSnapshot(failing(), { signal }), RangeError);
});
