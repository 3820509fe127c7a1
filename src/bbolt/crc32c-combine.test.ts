import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32c } from "@node-rs/crc32";
import fc from "fast-check";
import { combineCrc32c, remainingCrc32c } from "./crc32c-combine.ts";

const bytes = fc.uint8Array({ maxLength: 300 });

test("the checksum of two parts follows from the checksums of each", () => {
  fc.assert(
    fc.property(bytes, bytes, (a, b) => {
      const both = crc32c(Buffer.concat([a, b]));
      assert.equal(combineCrc32c(crc32c(a), crc32c(b), b.length), both);
      assert.equal(remainingCrc32c(crc32c(a), both, b.length), crc32c(b));
    }),
  );
});

test("parts may be longer than the cache and than any buffer", () => {
  const block = Buffer.alloc(65536, "block");
  let crc = 0;
  for (let i = 0; i < 40; i++) crc = crc32c(block, crc);
  assert.equal(combineCrc32c(crc32c(Buffer.from("a")), crc, 40 * 65536), prefixed(block, 40));
  // 2^33 bytes at once have the effect of 2^32 bytes twice.
  const first = crc32c(Buffer.from("first"));
  assert.equal(combineCrc32c(first, 0, 2 ** 33), combineCrc32c(combineCrc32c(first, 0, 2 ** 32), 0, 2 ** 32));
  assert.notEqual(combineCrc32c(first, 0, 2 ** 33), combineCrc32c(first, 0, 2 ** 32));
});

function prefixed(block: Buffer, times: number): number {
  let crc = crc32c(Buffer.from("a"));
  for (let i = 0; i < times; i++) crc = crc32c(block, crc);
  return crc;
}
