import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { after, before, describe, it } from "node:test";
import { crc32c } from "@node-rs/crc32";
import { type ErrorCode, OperatorError } from "../core/errors.ts";
import { crcHex } from "./checksum.ts";
import type { ObjectInfo, Store } from "./store.ts";

/** A store under test, and what is behind it. */
export interface StoreUnderTest extends AsyncDisposable {
  /** Empty. Its parts, if it has such, are of `partSize` bytes. */
  store: Store;
  partSize: number;
  /** The same place, opened again. */
  reopen(): Promise<Store>;
  /** Leaves behind what a put that was killed leaves behind. */
  leaveUnfinished(name: string): Promise<void>;
  /** Names of what unfinished puts have left behind. */
  unfinished(): Promise<string[]>;
}

const signal = AbortSignal.timeout(600_000);

/** The contract of store.ts, as a suite that every store has to pass. */
export function storeContract(kind: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${kind} keeps the contract of a store`, () => {
    let under: StoreUnderTest;
    let store: Store;
    before(async () => {
      under = await open();
      store = under.store;
    });
    after(async () => {
      await under[Symbol.asyncDispose]();
    });

    describe("an object that was put", () => {
      it("is read back byte for byte, with its size and CRC-32C", async () => {
        const bytes = randomBytes(100_000);
        const stored = await store.put("whole/a", [bytes], { signal });
        assert.equal(stored.name, "whole/a");
        assert.equal(stored.size, bytes.length);
        assert.equal(stored.crc32c, crcHex(crc32c(bytes)));
        same(await readAll(store, "whole/a"), bytes);
      });

      it("is seen by head and list, from another opening of the store as well", async () => {
        const begun = Date.now();
        await store.put("seen/a", [Buffer.from("four")], { signal });
        await using other = await under.reopen();
        const head = await other.head("seen/a", { signal });
        assert.equal(head?.name, "seen/a");
        assert.equal(head.size, 4);
        assert.ok(
          Math.abs(head.modified.getTime() - begun) < 60_000,
          `modified ${head.modified.toISOString()}`,
        );
        assert.deepEqual(await names(other, "seen/"), ["seen/a"]);
      });

      it("may be empty", async () => {
        const stored = await store.put("empty/a", [], { signal });
        assert.deepEqual([stored.size, stored.crc32c], [0, "00000000"]);
        assert.equal((await store.head("empty/a", { signal }))?.size, 0);
        assert.equal((await readAll(store, "empty/a")).length, 0);
      });

      it("may come one byte at a time, with empty chunks in between", async () => {
        const bytes = randomBytes(3_000);
        const chunks = [...bytes].flatMap((byte) => [Buffer.of(byte), Buffer.alloc(0)]);
        assert.equal((await store.put("bytes/a", chunks, { signal })).crc32c, crcHex(crc32c(bytes)));
        same(await readAll(store, "bytes/a"), bytes);
      });

      it("may consist of many parts, from chunks that fit no part", async () => {
        const bytes = randomBytes(3 * under.partSize + 12_345);
        const stored = await store.put("parts/a", cut(bytes, 777_777), { signal });
        assert.deepEqual([stored.size, stored.crc32c], [bytes.length, crcHex(crc32c(bytes))]);
        same(await readAll(store, "parts/a"), bytes);
        assert.deepEqual(await under.unfinished(), []);
      });

      for (const [length, more] of [
        ["one part", 0],
        ["one part and a byte", 1],
        ["two parts", 2],
      ] as const) {
        it(`may be exactly ${length} long`, async () => {
          const bytes = randomBytes(more === 2 ? 2 * under.partSize : under.partSize + more);
          const object = `exact/${more}`;
          assert.equal((await store.put(object, [bytes], { signal })).size, bytes.length);
          same(await readAll(store, object), bytes);
        });
      }

      it("reports progress that only grows and ends with its size", async () => {
        const seen: number[] = [];
        const bytes = randomBytes(2 * under.partSize + 1);
        await store.put("progress/a", cut(bytes, 1_000_000), { signal, onProgress: (n) => seen.push(n) });
        assert.ok(
          seen.every((n, i) => n > (seen[i - 1] ?? 0)),
          String(seen),
        );
        assert.equal(seen.at(-1), bytes.length);
      });

      it("is never overwritten: a second put fails with AlreadyExists and changes nothing", async () => {
        await store.put("once/a", [Buffer.from("first")], { signal });
        await rejectsWith("AlreadyExists", store.put("once/a", [Buffer.from("second")], { signal }));
        const long = randomBytes(2 * under.partSize);
        await rejectsWith("AlreadyExists", store.put("once/a", [long], { signal }));
        assert.equal(String(await readAll(store, "once/a")), "first");
        assert.deepEqual(await under.unfinished(), []);
      });

      for (const size of ["small", "in parts"] as const) {
        it(`of two puts at the same moment exactly one wins (${size})`, async () => {
          const object = size === "small" ? "race/small" : "race/parts";
          const length = size === "small" ? 1_000 : 2 * under.partSize;
          const bytes = [randomBytes(length), randomBytes(length)];
          // Both have read everything before either may end, so that both see the name free.
          const meet = meeting(2);
          const puts = bytes.map((b) => store.put(object, endingAt(meet, b), { signal }));
          const outcomes = await Promise.allSettled(puts);
          const winner = outcomes.findIndex((o) => o.status === "fulfilled");
          const lost = outcomes.filter((o) => o.status === "rejected");
          assert.equal(lost.length, 1, `${lost.length} puts failed`);
          assert.equal(codeOf(lost[0]?.reason), "AlreadyExists");
          same(await readAll(store, object), bytes[winner]);
          assert.deepEqual(await under.unfinished(), []);
        });
      }
    });

    describe("a put that does not come to its end", () => {
      for (const at of [0, 1, 3] as const) {
        it(`leaves nothing when its source throws after ${at} parts, and rethrows as it is`, async () => {
          const thrown = new Error("the source broke");
          const put = store.put(`broken/${at}`, breaking(at * under.partSize, thrown), { signal });
          await assert.rejects(put, (error) => error === thrown);
          await absent(store, "broken/", `broken/${at}`);
          assert.deepEqual(await under.unfinished(), []);
        });
      }

      for (const at of [0, 2] as const) {
        it(`settles soon and leaves nothing when it is aborted after ${at} parts, even when its source is silent`, async () => {
          const stop = new AbortController();
          const silent = goingSilent(at * under.partSize + 100);
          const put = store.put(`aborted/${at}`, silent.chunks, { signal: stop.signal });
          await silent.reached;
          stop.abort(new OperatorError("Aborted", "enough"));
          await rejectsWith("Aborted", put);
          await absent(store, "aborted/", `aborted/${at}`);
          assert.deepEqual(await under.unfinished(), []);
        });
      }

      it("does nothing at all when its signal has already fired", async () => {
        let asked = false;
        const source = (function* () {
          asked = true;
          yield Buffer.from("x");
        })();
        await rejectsWith("Aborted", store.put("late/a", source, { signal: AbortSignal.abort() }));
        assert.equal(asked, false);
        await absent(store, "late/", "late/a");
      });

      it("is not visible while it is under way", async () => {
        const held = goingSilent(2 * under.partSize + 100);
        const stop = new AbortController();
        const put = store.put("underway/a", held.chunks, { signal: stop.signal });
        await held.reached;
        await absent(store, "underway/", "underway/a");
        stop.abort();
        await rejectsWith("Aborted", put);
      });

      it("tells its source to end", async () => {
        const [begun, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
        async function* source() {
          try {
            for (;;) {
              await setImmediate();
              yield Buffer.alloc(1024);
              begun.resolve();
            }
          } finally {
            ended.resolve();
          }
        }
        const stop = new AbortController();
        const put = store.put("told/a", source(), { signal: stop.signal });
        await begun.promise;
        stop.abort();
        await rejectsWith("Aborted", put);
        await ended.promise;
      });
    });

    describe("get", () => {
      it("of what is not there fails with NotFound", async () => {
        await rejectsWith("NotFound", readAll(store, "none/a"));
      });

      it("ends with Aborted when its signal fires in the middle", async () => {
        await store.put("stop/a", [randomBytes(2 * under.partSize)], { signal });
        const stop = new AbortController();
        const reading = (async () => {
          for await (const _ of store.get("stop/a", { signal: stop.signal })) stop.abort();
        })();
        await rejectsWith("Aborted", reading);
      });

      it("may be left early", async () => {
        await store.put("early/a", [randomBytes(2 * under.partSize)], { signal });
        for await (const chunk of store.get("early/a", { signal })) {
          assert.ok(chunk.length > 0);
          break;
        }
      });
    });

    it("head of what is not there is undefined, in a folder that is not there as well", async () => {
      await store.put("folder/here", [Buffer.from("x")], { signal });
      assert.equal(await store.head("folder/gone", { signal }), undefined);
      assert.equal(await store.head("nowhere/at/all", { signal }), undefined);
      assert.equal(await store.head("folder", { signal }), undefined);
    });

    describe("list", () => {
      const shuffled = ["a.b", "a/b", "a-b", "a0", "A", "a=b", "a/-", "a_b", ".x/y", "a/c/d", "ab"];
      before(async () => {
        for (const object of shuffled) await store.put(`order/${object}`, [Buffer.from(object)], { signal });
      });

      it("gives whole names in ascending order, with their sizes", async () => {
        const found = await Array.fromAsync(store.list("order/", { signal }));
        const expected = [...shuffled]
          .sort()
          .map((object) => ({ name: `order/${object}`, size: object.length }));
        assert.deepEqual(
          found.map(({ name, size }) => ({ name, size })),
          expected,
        );
        assert.ok(found.every((object) => object.modified instanceof Date));
      });

      it("takes a prefix that ends in the middle of a name", async () => {
        assert.deepEqual(await names(store, "order/a/"), ["order/a/-", "order/a/b", "order/a/c/d"]);
        assert.deepEqual(await names(store, "order/a/c"), ["order/a/c/d"]);
        assert.deepEqual(await names(store, "order/a-"), ["order/a-b"]);
        assert.deepEqual(await names(store, "order/zzz"), []);
        assert.deepEqual(await names(store, "nowhere/at/all/"), []);
      });

      it("gives everything for an empty prefix, and nothing that lies beside", async () => {
        const all = await names(store, "");
        assert.deepEqual(all.filter((n) => n.startsWith("order/")).length, shuffled.length);
        assert.deepEqual(all, [...all].sort());
      });

      it("goes on after the first thousand", async () => {
        const many = Array.from({ length: 1_005 }, (_, i) => `many/${String(i).padStart(5, "0")}`);
        await eachOf(many, 16, (object) => store.put(object, [Buffer.from("x")], { signal }));
        assert.deepEqual(await names(store, "many/"), many);
        const first: ObjectInfo[] = [];
        for await (const object of store.list("many/", { signal })) if (first.push(object) === 3) break;
        assert.equal(first.length, 3);
      });

      it("fails with Aborted when its signal has fired", async () => {
        await rejectsWith("Aborted", Array.fromAsync(store.list("", { signal: AbortSignal.abort() })));
      });
    });

    it("remove takes an object away, and does nothing where there is none", async () => {
      await store.put("gone/a", [Buffer.from("x")], { signal });
      await store.put("gone/b", [Buffer.from("x")], { signal });
      await store.remove("gone/a", { signal });
      await absent(store, "gone/a", "gone/a");
      await store.remove("gone/a", { signal });
      await store.remove("never/was/here", { signal });
      assert.deepEqual(await names(store, "gone/"), ["gone/b"]);
      await store.put("gone/a", [Buffer.from("again")], { signal });
      assert.equal(String(await readAll(store, "gone/a")), "again");
    });

    it("sweep aborts older unfinished puts under its prefix, and nothing else", async () => {
      await store.put("sweep/a/finished", [Buffer.from("x")], { signal });
      for (const object of ["sweep/a/1", "sweep/a/2", "sweep/b/1"]) await under.leaveUnfinished(object);
      const past = new Date(Date.now() - 3_600_000);
      const future = new Date(Date.now() + 3_600_000);
      assert.equal(await store.sweep("sweep/a/", { signal, before: past }), 0);
      assert.equal((await under.unfinished()).length, 3);
      assert.equal(await store.sweep("sweep/a/", { signal, before: future }), 2);
      assert.equal((await under.unfinished()).length, 1);
      assert.equal(await store.sweep("", { signal, before: future }), 1);
      assert.equal(await store.sweep("", { signal, before: future }), 0);
      assert.deepEqual(await names(store, "sweep/"), ["sweep/a/finished"]);
    });

    it("probe finds it usable, and a trial write leaves nothing behind", async () => {
      const present = await names(store, "");
      assert.equal(typeof (await store.probe({ signal, write: false })).objectLock, "boolean");
      assert.equal((await store.probe({ signal, write: true })).conditionalWrites, true);
      assert.deepEqual(await names(store, ""), present);
      assert.deepEqual(await under.unfinished(), []);
    });

    it("refuses names that would lead elsewhere", async () => {
      const bad = [
        "",
        "/a",
        "a/",
        "a//b",
        "../a",
        "a/../b",
        "a/..",
        ".",
        "a/./b",
        "a b",
        "a\\b",
        "a%2e",
        "ä",
        "a\0",
        "a~b",
      ];
      for (const object of [...bad, "x".repeat(201), "x/".repeat(400) + "x"]) {
        await rejectsWith("InvalidConfiguration", store.put(object, [Buffer.from("x")], { signal }));
        await rejectsWith("InvalidConfiguration", readAll(store, object));
        await rejectsWith("InvalidConfiguration", store.head(object, { signal }));
        await rejectsWith("InvalidConfiguration", store.remove(object, { signal }));
      }
      for (const prefix of ["/", "../", "a//", "ä"]) {
        await rejectsWith("InvalidConfiguration", names(store, prefix));
        await rejectsWith("InvalidConfiguration", store.sweep(prefix, { signal, before: new Date(0) }));
      }
    });
  });
}

async function readAll(store: Store, name: string): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(store.get(name, { signal })));
}

async function names(store: Store, prefix: string): Promise<string[]> {
  return (await Array.fromAsync(store.list(prefix, { signal }))).map((object) => object.name);
}

async function absent(store: Store, prefix: string, name: string): Promise<void> {
  assert.equal((await names(store, prefix)).includes(name), false);
  assert.equal(await store.head(name, { signal }), undefined);
  await rejectsWith("NotFound", readAll(store, name));
}

/** Not deepEqual: the difference of two large buffers would be printed. */
function same(found: Buffer, expected: Buffer | undefined): void {
  assert.ok(
    expected !== undefined && found.equals(expected),
    `${found.length} bytes, not those that were put`,
  );
}

function codeOf(error: unknown): ErrorCode | undefined {
  return error instanceof OperatorError ? error.code : undefined;
}

async function rejectsWith(code: ErrorCode, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.equal(codeOf(error), code, String(error));
    return true;
  });
}

function* cut(bytes: Buffer, size: number): Generator<Buffer> {
  for (let offset = 0; offset < bytes.length; offset += size) yield bytes.subarray(offset, offset + size);
}

async function* breaking(length: number, thrown: Error): AsyncGenerator<Buffer> {
  yield* cut(Buffer.alloc(length), 500_000);
  await setImmediate();
  throw thrown;
}

/** Gives `length` bytes, then nothing, not even an end. `reached` resolves when it has fallen silent. */
function goingSilent(length: number): { chunks: AsyncIterable<Buffer>; reached: Promise<void> } {
  const reached = Promise.withResolvers<void>();
  async function* chunks(): AsyncGenerator<Buffer> {
    yield* cut(Buffer.alloc(length), 500_000);
    reached.resolve();
    await new Promise(() => {});
  }
  return { chunks: chunks(), reached: reached.promise };
}

/** Resolves, for everybody who waits, when `count` have come. */
function meeting(count: number): () => Promise<void> {
  const met = Promise.withResolvers<void>();
  let come = 0;
  return () => {
    come += 1;
    if (come === count) met.resolve();
    return met.promise;
  };
}

async function* endingAt(meet: () => Promise<void>, bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
  await meet();
}

async function eachOf<T>(items: T[], width: number, work: (item: T) => Promise<unknown>): Promise<void> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
