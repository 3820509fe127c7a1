import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { crc32c } from "@node-rs/crc32";
import { manifestOf } from "../../src/backup/manifest/manifest.fixture.ts";
import type { Manifest } from "../../src/backup/manifest/manifest.ts";
import { readRange } from "../../src/backup/read-range.ts";
import { OperatorError } from "../../src/core/errors.ts";
import type { Store } from "../../src/store/store.ts";
import { readSnapshot } from "../../src/snapshot/read.ts";
import { describeFailures, verifyStored } from "../../src/backup/verify.ts";
import { hex8 } from "../../src/core/hex.ts";
import { bytesOf, withTrailer, writeBolt } from "../testdata/bolt-writer.ts";
import { createRandom, type Random } from "../harness/random.ts";
import { cutUp, mutateBytes, type Target } from "./target.ts";

const { signal } = new AbortController();
const file = withTrailer(
  bytesOf(
    writeBolt({
      pageSize: 1024,
      buckets: { key: [], meta: [{ key: Buffer.from("term"), value: Buffer.alloc(8) }] },
    }),
  ),
);
const object = zstdCompressSync(file);
const validManifest = await manifestFor(object);
/** Far more than the valid file has, far less than the bombs. */
const maxUnpacked = 80 * 1024 * 1024;

/**
 * Any bytes instead of a backup's data lead to a list of checks, which all pass only for the bytes that the manifest
 * describes. With 1 as first byte of the input the manifest describes the stored bytes, and only the unpacked content
 * differs.
 */
export const stored: Target = {
  name: "stored",
  testInputs: 400,
  isText: false,
  generate(random) {
    return Buffer.concat([Buffer.of(random.below(2)), hostile(random)]);
  },
  async check(input) {
    const bytes = Buffer.from(input.subarray(1));
    const manifest = input[0] === 1 ? describing(bytes) : validManifest;
    const plain = createHash("sha256");
    let unpacked = 0;
    const store = {
      async *get() {
        yield* cutUp(bytes, createRandom(crc32c(bytes)));
      },
    };
    await checkFrames(store, manifest, bytes.length);
    const { checks } = await verifyStored(store, manifest, {
      signal,
      write: async (chunk) => {
        plain.update(chunk);
        unpacked += chunk.length;
      },
    });
    assert.ok(unpacked <= maxUnpacked, `${bytes.length} stored bytes became ${unpacked} plain ones`);
    const isValid = plain.digest("hex") === createHash("sha256").update(file).digest("hex");
    const isSame = input[0] === 1 || bytes.equals(object);
    const failures = describeFailures(checks);
    if (failures === undefined) assert.ok(isValid && isSame, "a damaged object passed all checks");
    else assert.ok(!bytes.equals(object) || !isValid, `the valid object failed: ${failures}`);
  },
};

/** Bytes that the manifest takes for two frames are damage, or the whole range is read. */
async function checkFrames(store: Pick<Store, "get">, manifest: Manifest, size: number): Promise<void> {
  if (size < 2) return;
  const plainBytes = Math.ceil(file.length / 2);
  const storedBytes = [size >> 1, size - (size >> 1)];
  const framed = { ...manifest, stored: { ...manifest.stored, frames: { plainBytes, storedBytes } } };
  let length = 0;
  try {
    for await (const chunk of readRange(store, framed, { offset: 0, length: file.length }, { signal }))
      length += chunk.length;
    assert.equal(length, file.length);
  } catch (error) {
    assert.ok(error instanceof OperatorError && error.code === "VerificationFailed", String(error));
  }
}

function hostile(random: Random): Buffer {
  switch (random.below(random.oneIn(40) ? 7 : 6)) {
    case 0:
      return mutateBytes(Buffer.from(object), random);
    case 1:
      return zstdCompressSync(mutateBytes(Buffer.from(file), random));
    case 2:
      return Buffer.concat([
        object,
        random.pick([object, random.bytes(20), skippable(random), zstdCompressSync(Buffer.alloc(0))]),
      ]);
    case 3:
      return Buffer.concat([skippable(random), object]);
    case 4: {
      const half = random.below(file.length);
      return Buffer.concat([zstdCompressSync(file.subarray(0, half)), zstdCompressSync(file.subarray(half))]);
    }
    case 5:
      return mutateBytes(mutateBytes(Buffer.from(object), random), random);
    default:
      return bomb(1 + random.below(2000));
  }
}

/** A zstd frame that unpacks to 128 KiB for each four bytes: RLE blocks. */
function bomb(blocks: number): Buffer {
  const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38]);
  const body = Buffer.alloc(4 * blocks);
  for (let i = 0; i < blocks; i++) {
    // Last block bit, type RLE, then the size.
    body.writeUIntLE((i === blocks - 1 ? 1 : 0) + 2 * 1 + 8 * 131_072, 4 * i, 3);
  }
  return Buffer.concat([header, body]);
}

function skippable(random: Random): Buffer {
  const size = random.below(64);
  const header = Buffer.alloc(8);
  header.writeUInt32LE(0x184d2a50 + random.below(16));
  header.writeUInt32LE(random.oneIn(4) ? 0xffffffff : size, 4);
  return Buffer.concat([header, random.bytes(size)]);
}

/** The manifest with size and digests of these stored bytes. */
function describing(bytes: Buffer): Manifest {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return {
    ...validManifest,
    stored: { ...validManifest.stored, bytes: bytes.length, sha256, crc32c: hex8(crc32c(bytes)) },
  };
}

async function manifestFor(bytes: Buffer): Promise<Manifest> {
  const { status, sha256 } = await readSnapshot(
    (async function* () {
      yield file;
    })(),
    { signal },
  );
  assert.ok(status !== undefined);
  const base = manifestOf({ revision: status.revision });
  const { hash, totalKeys, pairs, liveKeys, totalSize: totalSizeBytes, pageSize, storageVersion } = status;
  const counts = { totalKeys, pairs, liveKeys, totalSizeBytes, pageSize, storageVersion };
  return {
    ...base,
    snapshot: { ...base.snapshot, ...counts, hash: hex8(hash), sha256, crc32c: hex8(crc32c(file)) },
    stored: {
      ...base.stored,
      bytes: bytes.length,
      sha256: createHash("sha256").update(bytes).digest("hex"),
      crc32c: hex8(crc32c(bytes)),
    },
  };
}
