import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { zstdDecompressSync } from "node:zlib";
import { crc32c } from "@node-rs/crc32";
import { databaseOf, expectedStatuses, readWhole, snapshotFile } from "../../test/testdata/snapshot-files.ts";
import { OperatorError } from "../core/errors.ts";
import { type MemoryStore, memoryStore } from "../store/memory/memory-store.fixture.ts";
import { hex8 } from "../core/hex.ts";
import { framePlainBytes } from "./frames.ts";
import type { SnapshotSource } from "./source.ts";
import { transfer } from "./transfer.ts";

const { signal } = new AbortController();
const mebibyte = 1024 * 1024;

interface WatchedSource extends SnapshotSource {
  /** Number of chunks that were read. */
  pulled: number;
  /** Whether the generator has ended, for any reason. */
  ended: boolean;
}

function sourceOf(file: Uint8Array, options: { announced?: number; chunk?: number } = {}): WatchedSource {
  const size = options.chunk ?? 10_000;
  const source: WatchedSource = {
    totalBytes: options.announced ?? file.length - 32,
    pulled: 0,
    ended: false,
    chunks: { [Symbol.asyncIterator]: () => generate() },
  };
  async function* generate(): AsyncGenerator<Uint8Array> {
    try {
      for (let at = 0; at < file.length; at += size) {
        source.pulled += 1;
        yield file.subarray(at, at + size);
      }
    } finally {
      source.ended = true;
    }
  }
  return source;
}

function run(source: SnapshotSource, store: MemoryStore, compression: "Zstd" | "None" = "Zstd") {
  return transfer({ source, store, object: "lab/run.db", compression, signal });
}

function withTrailer(database: Uint8Array): Buffer {
  return Buffer.concat([database, createHash("sha256").update(database).digest()]);
}

function flipped(bytes: Uint8Array, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
  return copy;
}

for (const compression of ["Zstd", "None"] as const) {
  test(`the stored object is the snapshot byte for byte, with etcdutl's status (${compression})`, async () => {
    for (const [name, expected] of expectedStatuses()) {
      const file = snapshotFile(name);
      const store = memoryStore();
      const { status, sha256, crc32c: crc, stored } = await run(sourceOf(file), store, compression);
      const object = store.objects.get("lab/run.db") ?? Buffer.alloc(0);
      assert.ok(file.equals(compression === "Zstd" ? zstdDecompressSync(object) : object), name);
      assert.equal(status.hash, expected.hash);
      assert.equal(status.revision, expected.revision);
      assert.equal(sha256, file.subarray(-32).toString("hex"));
      assert.equal(crc, hex8(crc32c(file)));
      assert.equal(stored.sha256, createHash("sha256").update(object).digest("hex"));
      assert.equal(stored.size, object.length);
      const frames = { plainBytes: framePlainBytes, storedBytes: [object.length] };
      assert.deepEqual(stored.frames, compression === "Zstd" ? frames : undefined);
    }
  });
}

test("progress counts the bytes of the database up to the announced total", async () => {
  const file = snapshotFile("churned-3.6");
  const reports: [number, number][] = [];
  await transfer({
    source: sourceOf(file),
    store: memoryStore(),
    object: "lab/run.db",
    compression: "Zstd",
    signal,
    onProgress: (read, total) => reports.push([read, total]),
  });
  assert.deepEqual(reports.at(-1), [file.length - 32, file.length - 32]);
  assert.ok(reports.every(([read], index) => index === 0 || read >= (reports[index - 1]?.[0] ?? 0)));
});

const file = snapshotFile("mixed-3.6");
const database = databaseOf("mixed-3.6");
const damaged: [what: string, source: () => SnapshotSource, message: RegExp][] = [
  ["a flipped bit in the database", () => sourceOf(flipped(file, 20_000)), /SHA-256 trailer is wrong/],
  [
    "a flipped bit in the trailer",
    () => sourceOf(flipped(file, file.length - 1)),
    /SHA-256 trailer is wrong/,
  ],
  [
    "a stream without a trailer",
    () => sourceOf(database, { announced: database.length }),
    /SHA-256 trailer is missing/,
  ],
  ["a stream that ends early", () => sourceOf(file.subarray(0, 30_000)), /SHA-256 trailer is missing/],
  [
    "a stream that ends early, at the end of a page",
    () => sourceOf(file.subarray(0, 32_768), { announced: database.length }),
    /SHA-256 trailer is missing/,
  ],
  ["an empty stream", () => sourceOf(Buffer.alloc(0), { announced: 0 }), /SHA-256 trailer is missing/],
  [
    "a stream of fewer bytes than announced, with a valid trailer",
    () => sourceOf(file, { announced: database.length + 4096 }),
    new RegExp(`announced ${database.length + 4096} bytes and sent ${database.length}$`),
  ],
  [
    "a stream of more bytes than announced, with a valid trailer",
    () => sourceOf(file, { announced: database.length - 4096 }),
    new RegExp(`announced ${database.length - 4096} bytes and sent ${database.length}$`),
  ],
  [
    "a damaged page with a valid trailer",
    () => sourceOf(withTrailer(zeroed(database, 4 * 4096, 4096))),
    /the database is damaged: .*page \d+/,
  ],
  [
    "a readable database with keys out of order, with a valid trailer",
    () => sourceOf(withTrailer(disordered(database))),
    /the database is damaged: page \d+/,
  ],
  [
    "random bytes with a valid trailer",
    () => sourceOf(withTrailer(randomBytes(16_384))),
    /the database is damaged/,
  ],
];

function zeroed(bytes: Uint8Array, at: number, length: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.fill(0, at, at + length);
  return copy;
}

/** The first change of one byte that leaves a readable database with a violation. */
function disordered(bytes: Uint8Array): Buffer {
  for (let at = 0; at < bytes.length; at += 1) {
    const copy = Buffer.from(bytes);
    copy.writeUInt8(copy.readUInt8(at) ^ 0x7f, at);
    const { status, violationCount } = readWhole(copy);
    if (status !== undefined && violationCount > 0) return copy;
  }
  throw new Error("no change of one byte gives such a database");
}

for (const [what, source, message] of damaged) {
  for (const compression of ["Zstd", "None"] as const) {
    test(`${what} becomes no object, and the error names the check (${compression})`, async () => {
      const store = memoryStore();
      await assert.rejects(run(source(), store, compression), (error) => {
        assert.ok(error instanceof OperatorError, String(error));
        assert.equal(error.code, "VerificationFailed");
        assert.match(error.message, message);
        assert.equal(error.permanent, false, "another member or another attempt may succeed");
        return true;
      });
      assert.equal(store.objects.size, 0);
    });
  }
}

test("an error of the source reaches the caller unchanged, and no object appears", async () => {
  const broken = new OperatorError("SnapshotFailed", "the member went away");
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield file.subarray(0, 8192);
    throw broken;
  }
  for (const compression of ["Zstd", "None"] as const) {
    const store = memoryStore();
    const source = { totalBytes: database.length, chunks: chunks() };
    await assert.rejects(run(source, store, compression), (error) => error === broken);
    assert.equal(store.objects.size, 0);
  }
});

test("a store that refuses the put stops the source", async () => {
  const refused = new OperatorError("Unauthorized", "not yours");
  for (const compression of ["Zstd", "None"] as const) {
    const store = memoryStore();
    store.beforePut = () => {
      throw refused;
    };
    const source = sourceOf(randomBytes(64 * mebibyte), { chunk: mebibyte });
    await assert.rejects(run(source, store, compression), (error) => error === refused);
    await untilTrue(() => source.ended || source.pulled === 0, "the source still runs");
    assert.ok(source.pulled < 16, `${source.pulled} MiB were read before the source stopped`);
  }
});

test("a store that fails during the put stops the source", async () => {
  const full = new OperatorError("StoreFailed", "no space is left");
  for (const compression of ["Zstd", "None"] as const) {
    const store = memoryStore();
    let taken = 0;
    store.beforeChunk = () => {
      taken += 1;
      if (taken > 2) throw full;
    };
    const source = sourceOf(randomBytes(64 * mebibyte), { chunk: mebibyte });
    await assert.rejects(run(source, store, compression), (error) => error === full);
    await untilTrue(() => source.ended, "the source still runs");
    assert.ok(source.pulled < 24, `${source.pulled} of 64 MiB were read`);
    assert.equal(store.objects.size, 0);
  }
});

test("an abort during the transfer throws its reason, stops the source and leaves no object", async () => {
  const reason = new OperatorError("Aborted", "stopped by Ctrl-C");
  for (const compression of ["Zstd", "None"] as const) {
    const store = memoryStore();
    const abort = new AbortController();
    const source = sourceOf(randomBytes(64 * mebibyte), { chunk: mebibyte });
    const ending = transfer({
      source,
      store,
      object: "lab/run.db",
      compression,
      signal: abort.signal,
      onProgress: (read) => {
        if (read >= 4 * mebibyte) abort.abort(reason);
      },
    });
    await assert.rejects(ending, (error) => error === reason);
    await untilTrue(() => source.ended, "the source still runs");
    assert.equal(store.objects.size, 0);
  }
});

test("a slow store slows the source, so memory is bounded by the buffers of the stages", async () => {
  for (const compression of ["Zstd", "None"] as const) {
    const store = memoryStore();
    // Random bytes do not compress, so the bytes read and the bytes stored are comparable.
    const bytes = withTrailer(randomBytes(64 * mebibyte));
    const source = sourceOf(bytes, { chunk: mebibyte });
    let stored = 0;
    let ahead = 0;
    const put = store.put.bind(store);
    store.put = (name, chunks, options) => put(name, slowly(chunks), options);
    async function* slowly(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
      for await (const chunk of chunks) {
        // Every earlier stage fills up meanwhile.
        for (let turns = 0; turns < 50; turns += 1) await turn();
        ahead = Math.max(ahead, source.pulled * mebibyte - stored);
        stored += chunk.length;
        yield chunk;
      }
    }
    await assert.rejects(run(source, store, compression), /damaged/);
    assert.ok(stored > 40 * mebibyte, "the store received most of the stream");
    const bound = compression === "Zstd" ? 3 * framePlainBytes : 16 * mebibyte;
    assert.ok(ahead < bound, `${ahead / mebibyte} MiB were read ahead (${compression})`);
  }
});

/** Turns the event loop until the condition holds. */
async function untilTrue(condition: () => boolean, message: string): Promise<void> {
  for (let turns = 0; turns < 10_000 && !condition(); turns += 1) await turn();
  assert.ok(condition(), message);
}
