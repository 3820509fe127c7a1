import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { gatherParts, growingPartSize } from "./gather.ts";
import { createPartBuffers } from "./buffers.ts";

const { signal } = new AbortController();

async function gathered(chunks: Uint8Array[], sizes: (number: number) => number) {
  const buffers = createPartBuffers({ limit: 1, allocate: (size) => Buffer.alloc(size, 0xee) });
  const parts: { number: number; bytes: Buffer; last: boolean }[] = [];
  for await (const part of gatherParts(chunks, { buffers, partSizeAt: sizes, signal })) {
    parts.push({ number: part.number, bytes: Buffer.from(part.bytes), last: part.last });
    buffers.release(part.buffer);
  }
  return parts;
}

describe("gathering parts", () => {
  it("yields all bytes in order, in full parts except for the last, for chunks of any size", async () => {
    const chunk = fc.uint8Array({ maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(chunk, { maxLength: 20 }),
        fc.integer({ min: 1, max: 30 }),
        async (chunks, size) => {
          const parts = await gathered(chunks, () => size);
          assert.deepEqual(Buffer.concat(parts.map((part) => part.bytes)), Buffer.concat(chunks));
          assert.deepEqual(
            parts.map((part) => part.number),
            parts.map((_, i) => i + 1),
          );
          assert.deepEqual(
            parts.map((part) => part.last),
            parts.map((_, i) => i === parts.length - 1),
          );
          assert.ok(parts.slice(0, -1).every((part) => part.bytes.length === size));
          assert.ok(parts.length === 1 || (parts.at(-1)?.bytes.length ?? 0) > 0);
        },
      ),
    );
  });

  it("takes larger buffers when parts grow", async () => {
    const parts = await gathered([Buffer.alloc(7)], (number) => number);
    assert.deepEqual(
      parts.map((part) => part.bytes.length),
      [1, 2, 3, 1],
    );
  });

  it("releases its buffer when it is left early or its source throws", async () => {
    const buffers = createPartBuffers({ limit: 1 });
    const options = { buffers, partSizeAt: () => 4, signal };
    function* breaking() {
      yield Buffer.alloc(2);
      throw new Error("broke");
    }
    await assert.rejects(gatherParts(breaking(), options).next(), /broke/);
    for await (const part of gatherParts([Buffer.alloc(9)], options)) {
      buffers.release(part.buffer);
      break;
    }
    buffers.release(await buffers.acquire(4, signal));
  });
});

describe("the size of parts", () => {
  it("is constant for 5,000 parts, and 10,000 parts hold more than 500 GiB", () => {
    const sizeAt = growingPartSize(8 * 1024 ** 2);
    assert.equal(sizeAt(1), 8 * 1024 ** 2);
    assert.equal(sizeAt(5_000), 8 * 1024 ** 2);
    assert.equal(sizeAt(5_001), 16 * 1024 ** 2);
    let total = 0;
    for (let number = 1; number <= 10_000; number += 1) total += sizeAt(number);
    assert.ok(total > 500 * 1024 ** 3);
    assert.throws(() => sizeAt(10_001));
  });
});
