import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { zstdDecompressSync } from "node:zlib";
import { compressFrames, framePlainBytes } from "./frames.ts";

/** Half of it is random, so that frames differ in size and content. */
function sample(length: number): Buffer {
  const bytes = Buffer.alloc(length, "etcd");
  for (let at = 0; at < length; at += 700_000) randomBytes(300_000).copy(bytes, at);
  return bytes;
}

async function* cut(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function compress(chunks: AsyncIterable<Uint8Array>): Promise<{ object: Buffer; sizes: number[] }> {
  const sizes: number[] = [];
  return { object: Buffer.concat(await Array.fromAsync(compressFrames(chunks, sizes))), sizes };
}

for (const [what, length, chunk] of [
  ["less than one frame", 100_000, 10_000],
  ["exactly one frame", framePlainBytes, 1_000_000],
  ["whole frames in chunks larger than a frame", 4 * framePlainBytes, 9_000_000],
  ["many frames and a rest, in odd chunks", 11 * framePlainBytes + 12_345, 777_777],
] as const) {
  test(`each frame can be decompressed alone, and all of them together: ${what}`, async () => {
    const plain = sample(length);
    const { object, sizes } = await compress(cut(plain, chunk));
    assert.equal(sizes.length, Math.ceil(length / framePlainBytes));
    let at = 0;
    for (const [index, size] of sizes.entries()) {
      const frame = zstdDecompressSync(object.subarray(at, at + size));
      const begin = index * framePlainBytes;
      assert.ok(frame.equals(plain.subarray(begin, begin + framePlainBytes)), `frame ${index}`);
      at += size;
    }
    assert.equal(at, object.length);
    assert.ok(zstdDecompressSync(object).equals(plain));
  });
}

test("nothing becomes no frame", async () => {
  assert.deepEqual(await compress(cut(Buffer.alloc(0), 1)), { object: Buffer.alloc(0), sizes: [] });
});

test("a reader that stops reading stops the source after one frame", async () => {
  const plain = randomBytes(framePlainBytes);
  let pulled = 0;
  let isEnded = false;
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        pulled += 1;
        yield plain;
      }
    } finally {
      isEnded = true;
    }
  }
  for await (const _ of compressFrames(endless(), [])) {
    for (let turns = 0; turns < 1_000; turns += 1) await turn();
    break;
  }
  assert.equal(pulled, 1);
  assert.equal(isEnded, true);
});

test("an error of the source is thrown unchanged", async () => {
  const broken = new Error("the member is gone");
  async function* breaking(): AsyncGenerator<Uint8Array> {
    yield randomBytes(framePlainBytes + 5);
    throw broken;
  }
  await assert.rejects(compress(breaking()), (error) => error === broken);
});
