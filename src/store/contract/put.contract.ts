import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { crc32c } from "@node-rs/crc32";
import { hex8 } from "../../core/hex.ts";
import {
  assertRejects,
  assertSameBytes,
  barrier,
  codeOf,
  cut,
  endingAt,
  names,
  type Opened,
  readAll,
  signal,
} from "./support.fixture.ts";

export function putContract(opened: Opened): void {
  describe("an object that was put", () => {
    it("is read back byte for byte, with its size and CRC-32C", async () => {
      const { store } = opened();
      const bytes = randomBytes(100_000);
      const stored = await store.put("whole/a", [bytes], { signal });
      assert.equal(stored.name, "whole/a");
      assert.equal(stored.size, bytes.length);
      assert.equal(stored.crc32c, hex8(crc32c(bytes)));
      assertSameBytes(await readAll(store, "whole/a"), bytes);
    });

    it("is seen by head and list, also through another opening of the store", async () => {
      const { store, reopen } = opened();
      const begun = Date.now();
      await store.put("seen/a", [Buffer.from("four")], { signal });
      await using other = await reopen();
      const head = await other.head("seen/a", { signal });
      assert.equal(head?.name, "seen/a");
      assert.equal(head.size, 4);
      const { modified } = head;
      assert.ok(Math.abs(modified.getTime() - begun) < 60_000, `modified ${modified.toISOString()}`);
      assert.deepEqual(await names(other, "seen/"), ["seen/a"]);
    });

    it("may be empty", async () => {
      const { store } = opened();
      const stored = await store.put("empty/a", [], { signal });
      assert.deepEqual([stored.size, stored.crc32c], [0, "00000000"]);
      assert.equal((await store.head("empty/a", { signal }))?.size, 0);
      assert.equal((await readAll(store, "empty/a")).length, 0);
    });

    it("may arrive one byte at a time, with empty chunks in between", async () => {
      const { store } = opened();
      const bytes = randomBytes(3_000);
      const chunks = [...bytes].flatMap((byte) => [Buffer.of(byte), Buffer.alloc(0)]);
      assert.equal((await store.put("bytes/a", chunks, { signal })).crc32c, hex8(crc32c(bytes)));
      assertSameBytes(await readAll(store, "bytes/a"), bytes);
    });
  });

  partsContract(opened);
  noOverwriteContract(opened);
}

function partsContract(opened: Opened): void {
  describe("an object in parts", () => {
    it("may consist of many parts, from chunks of other sizes", async () => {
      const { store, partSize, unfinished } = opened();
      const bytes = randomBytes(3 * partSize + 12_345);
      const stored = await store.put("parts/a", cut(bytes, 777_777), { signal });
      assert.deepEqual([stored.size, stored.crc32c], [bytes.length, hex8(crc32c(bytes))]);
      assertSameBytes(await readAll(store, "parts/a"), bytes);
      assert.deepEqual(await unfinished(), []);
    });

    const lengths: [string, (partSize: number) => number][] = [
      ["one part", (partSize) => partSize],
      ["one part and a byte", (partSize) => partSize + 1],
      ["two parts", (partSize) => 2 * partSize],
    ];
    for (const [index, [length, bytesOf]] of lengths.entries()) {
      it(`may be exactly ${length} long`, async () => {
        const { store, partSize } = opened();
        const bytes = randomBytes(bytesOf(partSize));
        assert.equal((await store.put(`exact/${index}`, [bytes], { signal })).size, bytes.length);
        assertSameBytes(await readAll(store, `exact/${index}`), bytes);
      });
    }

    it("reports progress that only grows and ends with its size", async () => {
      const { store, partSize } = opened();
      const seen: number[] = [];
      const bytes = randomBytes(2 * partSize + 1);
      await store.put("progress/a", cut(bytes, 1_000_000), { signal, onProgress: (n) => seen.push(n) });
      const grows = seen.every((n, i) => n > (seen[i - 1] ?? 0));
      assert.ok(grows, String(seen));
      assert.equal(seen.at(-1), bytes.length);
    });
  });
}

function noOverwriteContract(opened: Opened): void {
  describe("an object is never overwritten", () => {
    it("by a second put, which fails with AlreadyExists and changes nothing", async () => {
      const { store, partSize, unfinished } = opened();
      await store.put("once/a", [Buffer.from("first")], { signal });
      await assertRejects("AlreadyExists", store.put("once/a", [Buffer.from("second")], { signal }));
      const long = randomBytes(2 * partSize);
      await assertRejects("AlreadyExists", store.put("once/a", [long], { signal }));
      assert.equal(String(await readAll(store, "once/a")), "first");
      assert.deepEqual(await unfinished(), []);
    });

    for (const size of ["small", "in parts"] as const) {
      it(`by one of two puts at the same moment: exactly one succeeds (${size})`, async () => {
        const { store, partSize, unfinished } = opened();
        const object = size === "small" ? "race/small" : "race/parts";
        const length = size === "small" ? 1_000 : 2 * partSize;
        const bytes = [randomBytes(length), randomBytes(length)];
        // Both sources are read before either may end, so both puts have found the name free.
        const bothRead = barrier(2);
        const puts = bytes.map((b) => store.put(object, endingAt(bothRead, b), { signal }));
        const outcomes = await Promise.allSettled(puts);
        const winner = outcomes.findIndex((o) => o.status === "fulfilled");
        const lost = outcomes.filter((o) => o.status === "rejected");
        assert.equal(lost.length, 1, `${lost.length} puts failed`);
        assert.equal(codeOf(lost[0]?.reason), "AlreadyExists");
        assertSameBytes(await readAll(store, object), bytes[winner]);
        assert.deepEqual(await unfinished(), []);
      });
    }
  });
}
