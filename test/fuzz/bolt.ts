import assert from "node:assert/strict";
import { crc32c } from "@node-rs/crc32";
import { createStatusReader, type SnapshotReading } from "../../src/snapshot/status.ts";
import { sealMeta } from "../testdata/bolt-writer.ts";
import { mutateStructure } from "./bolt-mutations.ts";
import { sampleDatabase } from "./bolt-samples.ts";
import { createRandom, type Random } from "../harness/random.ts";
import { readReference } from "./reference-reading.ts";
import { cutUp, mutateBytes, type Target } from "./target.ts";

/** Bound of the memory of a reading: a constant, and a factor of the size of the file. */
const memoryBytes = 48 * 1024 * 1024;
const memoryPerByte = 12;
/** The files are small: a reading that takes this long hangs. */
const hangMs = 10_000;

/** Any bytes are read without an exception and with the same result in any chunks. A database without violations has the status of the reference reading. */
export const bolt: Target = {
  name: "bolt",
  testInputs: 2500,
  isText: false,
  generate(random) {
    if (random.oneIn(2000)) return wideBranches(random);
    let bytes = sampleDatabase(random);
    for (let left = random.below(random.pick([3, 3, 12])); left >= 0; left--) {
      if (random.oneIn(6)) bytes = Buffer.from(mutateBytes(bytes, random));
      else mutateStructure(bytes, random);
    }
    return bytes;
  },
  check(input) {
    const before = process.memoryUsage().arrayBuffers;
    const began = performance.now();
    const reading = read([input]);
    assert.ok(
      performance.now() - began < hangMs,
      `reading ${input.length} bytes took more than ${hangMs} ms`,
    );
    const memory = process.memoryUsage().arrayBuffers - before;
    assert.ok(
      memory < memoryBytes + memoryPerByte * input.length,
      `reading ${input.length} bytes took ${memory} bytes`,
    );
    assert.deepEqual(
      read(cutUp(input, createRandom(crc32c(input)))),
      reading,
      "the result does not depend on the chunks",
    );
    assert.ok(reading.violations.length === Math.min(100, reading.violationCount));
    assert.equal(reading.size, input.length);
    if (reading.status === undefined) assert.ok(reading.violationCount > 0, "no status and no violation");
    if (reading.violationCount > 0 || reading.status === undefined) return;
    const { hash, revision, pairs, liveKeys, totalSize, storageVersion, pageSize } = reading.status;
    const status = { hash, revision, pairs, liveKeys, totalSize, storageVersion, pageSize };
    assert.deepEqual(status, readReference(Buffer.from(input)));
  },
};

function read(chunks: readonly Uint8Array[]): SnapshotReading {
  const reader = createStatusReader();
  for (const chunk of chunks) reader.push(chunk);
  return reader.finishAtOnce();
}

/** The widest possible branches, whose children are all the same page: reading each child takes a check of that page. */
function wideBranches(random: Random): Buffer {
  const pageSize = 4096;
  const overflow = 63;
  const width = 10_000 + random.below(4000);
  const branches = 2 + random.below(3);
  const bytes = Buffer.alloc((2 + branches * (overflow + 1)) * pageSize);
  for (let i = 0; i < branches; i++) {
    const id = 2 + i * (overflow + 1);
    const page = bytes.subarray(id * pageSize);
    page.writeBigUInt64LE(BigInt(id));
    page.writeUInt16LE(1, 8);
    page.writeUInt16LE(width, 10);
    page.writeUInt32LE(overflow, 12);
    // The first key is longer, so that the keys fill the overflow pages.
    const first = (overflow + 1) * pageSize - 16 - 18 * width;
    for (let child = 0, keyAt = 16 + 16 * width; child < width; child++) {
      const size = child === 0 ? first : 2;
      page.writeUInt32LE(keyAt - 16 - 16 * child, 16 + 16 * child);
      page.writeUInt32LE(size, 20 + 16 * child);
      page.writeBigUInt64LE(
        BigInt(random.oneIn(1000) ? 2 : 2 + (branches - 1) * (overflow + 1)),
        24 + 16 * child,
      );
      if (child > 0) page.writeUInt16BE(child, keyAt);
      keyAt += size;
    }
  }
  for (const id of [0, 1]) {
    const meta = bytes.subarray(id * pageSize, (id + 1) * pageSize);
    meta.writeUInt32LE(id);
    meta.writeUInt16LE(4, 8);
    meta.writeUInt32LE(0xed0cdaed, 16);
    meta.writeUInt32LE(2, 20);
    meta.writeUInt32LE(pageSize, 24);
    meta.writeBigUInt64LE(2n, 32);
    meta.writeBigUInt64LE(2n ** 64n - 1n, 48);
    meta.writeBigUInt64LE(BigInt(bytes.length / pageSize), 56);
    meta.writeBigUInt64LE(BigInt(7 - id), 64);
    sealMeta(meta);
  }
  return bytes;
}
