import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { zstdCompressSync } from "node:zlib";
import { breakingStore } from "./broken-store.fixture.ts";
import { compressFrames, framePlainBytes } from "./frames.ts";
import { manifestOf } from "./manifest/manifest.fixture.ts";
import type { Manifest } from "./manifest/manifest.ts";
import { readRange } from "./read-range.ts";

const { signal } = new AbortController();
const sleep = async () => {};
const size = 3 * framePlainBytes + 500_000;
const plain = Buffer.alloc(size, "etcd");
for (let at = 0; at < size; at += 600_000) randomBytes(300_000).copy(plain, at);

const sizes: number[] = [];
const framed = Buffer.concat(await Array.fromAsync(compressFrames(chunks(), sizes)));
async function* chunks(): AsyncGenerator<Uint8Array> {
  yield plain;
}

function described(stored: Partial<Manifest["stored"]>): Manifest {
  const base = manifestOf();
  const snapshot = { ...base.snapshot, totalSizeBytes: size - 32 };
  return { ...base, snapshot, stored: { ...base.stored, ...stored } };
}
const frames = { plainBytes: framePlainBytes, storedBytes: sizes };
const withFrames = described({ bytes: framed.length, frames });
const backups: [string, Manifest, Buffer][] = [
  ["frames", withFrames, framed],
  ["one zstd stream of an earlier release", described({}), zstdCompressSync(plain)],
  ["no compression", described({ compression: "None" }), plain],
];

async function read(
  store: ReturnType<typeof breakingStore>,
  manifest: Manifest,
  range: { offset: number; length: number },
): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(readRange(store, manifest, range, { signal, sleep })));
}

const ranges: [offset: number, length: number][] = [
  [0, 0],
  [0, 1],
  [0, size],
  [size - 1, 1],
  [size, 0],
  [framePlainBytes - 1, 2],
  [framePlainBytes, framePlainBytes],
  [framePlainBytes + 17, 2 * framePlainBytes],
  [3 * framePlainBytes, 500_000],
];
for (const [what, manifest, object] of backups) {
  test(`any part of the plain file can be read: ${what}`, async () => {
    for (const [offset, length] of ranges) {
      const part = await read(breakingStore(object, []), manifest, { offset, length });
      assert.ok(part.equals(plain.subarray(offset, offset + length)), `${length} bytes from ${offset}`);
    }
  });

  test(`a read of a part goes on where it broke: ${what}`, async () => {
    const store = breakingStore(object, [10_000, 0]);
    const part = await read(store, manifest, { offset: framePlainBytes - 5, length: 10 });
    assert.ok(part.equals(plain.subarray(framePlainBytes - 5, framePlainBytes + 5)));
    assert.ok(store.ranges.length > 1);
  });

  test(`bytes beyond the file are refused: ${what}`, async () => {
    for (const [offset, length] of [
      [0, size + 1],
      [size, 1],
      [-1, 1],
      [0.5, 1],
    ] as const)
      await assert.rejects(read(breakingStore(object, []), manifest, { offset, length }), { code: "Usage" });
  });

  test(`an error of the store is thrown as it is: ${what}`, async () => {
    const error = new TypeError("a defect");
    const reading = read(breakingStore(object, [100], error), manifest, { offset: 50, length: 500_000 });
    await assert.rejects(reading, (thrown) => thrown === error);
  });
}

test("only the frames that hold the bytes are read", async () => {
  const store = breakingStore(framed, []);
  await read(store, withFrames, { offset: 2 * framePlainBytes - 1, length: 2 });
  const [first = 0, second = 0, third = 0] = sizes;
  assert.deepEqual(store.ranges, [{ offset: first, length: second + third }]);
});

test("a damaged frame is reported with its number, and the others can be read", async () => {
  const copy = Buffer.from(framed);
  const [first = 0] = sizes;
  copy.fill(0xff, first + 1000, first + 2000);
  await assert.rejects(read(breakingStore(copy, []), withFrames, { offset: framePlainBytes, length: 1 }), {
    code: "VerificationFailed",
    message: /is damaged: frame 1: /,
  });
  assert.ok(
    (await read(breakingStore(copy, []), withFrames, { offset: 5, length: 9 })).equals(plain.subarray(5, 14)),
  );
});

test("a frame that unpacks to another size is damage", async () => {
  for (const other of [randomBytes(100), Buffer.alloc(2 * framePlainBytes)]) {
    const frame = zstdCompressSync(other);
    const manifest = described({
      frames: { plainBytes: framePlainBytes, storedBytes: [frame.length, 1, 1, 1] },
    });
    await assert.rejects(read(breakingStore(frame, []), manifest, { offset: 0, length: 1 }), {
      code: "VerificationFailed",
      message: /is damaged: frame 0/,
    });
  }
});
