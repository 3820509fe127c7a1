import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  type BoltFile,
  bytesOf,
  keyValue,
  type Pair,
  revisionKey,
  sealMeta,
  withTrailer,
  writeBolt,
} from "../../test/testdata/bolt-writer.ts";
import { pairsOf } from "../../test/testdata/key-histories.ts";
import { databaseOf, readInChunks, readWhole, snapshotFile } from "../../test/testdata/snapshot-files.ts";
import { readSnapshot } from "./read.ts";
import type { SnapshotReading } from "./status.ts";

const pageSize = 1024;
const history = Array.from({ length: 120 }, (_, i) => ({
  key: `/k/${i % 50}`,
  size: i === 60 ? 3000 : i % 90,
}));

function sample(options: { freelist?: boolean; inline?: boolean; key?: Pair[] } = {}): BoltFile {
  return writeBolt({
    pageSize,
    buckets: {
      key: options.key ?? pairsOf(history),
      lease: [{ key: Buffer.alloc(8, 1), value: Buffer.alloc(20, 2) }],
      meta: [{ key: Buffer.from("term"), value: Buffer.from([0, 0, 0, 0, 0, 0, 0, 2]) }],
    },
    gap: (next) => (next % 5 === 0 ? 1 : 0),
    ...options,
  });
}

function first(file: BoltFile, kind: "leaf" | "branch", accept = (_page: number) => true): number {
  for (const [page, run] of file.runs) if (run.kind === kind && accept(page)) return page;
  throw new Error(`no ${kind}`);
}

function longRun(file: BoltFile): number {
  return first(file, "leaf", (page) => (file.runs.get(page)?.bytes.length ?? 0) > pageSize);
}

/** Changes a copy of the file's bytes; returns the reading. */
function damaged(file: BoltFile, change: (bytes: Buffer) => unknown): SnapshotReading {
  const bytes = bytesOf(file);
  const changed = change(bytes);
  return readInChunks(changed instanceof Uint8Array ? changed : bytes, [4096, 1000]);
}

function assertViolation(reading: SnapshotReading, page: number, message: RegExp): void {
  const found = reading.violations.some(
    (violation) => violation.page === page && message.test(violation.message),
  );
  assert.ok(found, `no ${message} of page ${page} in ${JSON.stringify(reading.violations)}`);
}

function changeMeta(bytes: Buffer, page: number, change: (meta: Buffer) => void): void {
  const meta = bytes.subarray(page * pageSize, (page + 1) * pageSize);
  change(meta);
  sealMeta(meta);
}

test("the sample is sound", () => {
  for (const freelist of [true, false]) {
    const reading = damaged(sample({ freelist }), () => {});
    assert.deepEqual(reading.violations, []);
    assert.equal(reading.status?.liveKeys, 50);
  }
});

describe("metas", () => {
  const file = sample();
  const sound = damaged(file, () => {}).status;

  test("one damaged meta is a violation and the other is used", () => {
    for (const page of [0, 1]) {
      for (const [at, message] of [
        [16, /magic number/],
        [20, /format version/],
        [24, /checksum/],
        [40, /checksum/],
        [72, /checksum/],
      ] as const) {
        const reading = damaged(file, (bytes) => bytes.writeUInt8(0x99, page * pageSize + at));
        assertViolation(reading, page, message);
        assert.deepEqual(reading.status, sound);
      }
    }
  });

  test("a damaged header of a meta page is a violation", () => {
    const id = damaged(file, (bytes) => bytes.writeUInt8(7, pageSize));
    assertViolation(id, 1, /header has the id 7/);
    const type = damaged(file, (bytes) => bytes.writeUInt8(2, 8));
    assertViolation(type, 0, /header has the type 0x2/);
  });

  test("a stale meta is a violation and the newer one is used", () => {
    const reading = damaged(file, (bytes) => {
      changeMeta(bytes, 0, (meta) => {
        meta.writeBigUInt64LE(3n, 64);
        meta.writeBigUInt64LE(99n, 32);
      });
    });
    assertViolation(reading, 0, /stale: it is 3 transactions behind/);
    assert.deepEqual(reading.status, sound);
  });

  test("a file without a usable meta has no status", () => {
    const reading = damaged(file, (bytes) => bytes.fill(0, 0, 2 * pageSize));
    assert.equal(reading.status, undefined);
    assertViolation(reading, 0, /magic number is 0x0/);
    assertViolation(reading, -1, /no bbolt database/);
  });

  test("a file of a big-endian machine is named as such", () => {
    const reading = damaged(file, (bytes) => {
      bytes.writeUInt32BE(0xed0cdaed, 16);
      bytes.writeUInt32BE(0xed0cdaed, pageSize + 16);
    });
    assert.equal(reading.status, undefined);
    assertViolation(reading, 0, /big-endian machine/);
  });

  test("a root beyond the file, a page size that is none and a huge high-water mark are violations", () => {
    const both = (change: (meta: Buffer) => void) =>
      damaged(file, (bytes) => [0, 1].forEach((page) => changeMeta(bytes, page, change)));
    const root = both((meta) => meta.writeBigUInt64LE(2n ** 60n, 32));
    assertViolation(root, 2 ** 60, /above the high-water mark/);
    assert.equal(root.status, undefined);
    const size = both((meta) => meta.writeUInt32LE(1000, 24));
    assertViolation(size, 0, /page size 1000/);
    const highWater = both((meta) => meta.writeBigUInt64LE(2n ** 62n, 56));
    assertViolation(highWater, -1, /file is cut: it has \d+ of the 46116860184273\d+ pages/);
  });
});

describe("tree", () => {
  const file = sample();
  const leaf = first(file, "leaf", (page) => page > 4);
  const branch = first(file, "branch", () => true);
  const at = (page: number) => page * pageSize;
  const cases: [what: string, page: number, message: RegExp, change: (bytes: Buffer) => unknown][] = [
    ["a zeroed leaf", leaf, /no branch or leaf header/, (b) => b.fill(0, at(leaf), at(leaf + 1))],
    ["a zeroed branch", branch, /no branch or leaf header/, (b) => b.fill(0, at(branch), at(branch + 1))],
    ["a leaf with another id", leaf, /no branch or leaf header/, (b) => b.writeUInt32LE(leaf + 1, at(leaf))],
    ["an id above 2^32", leaf, /no branch or leaf header/, (b) => b.writeUInt32LE(1, at(leaf) + 4)],
    ["a leaf of no type", leaf, /no branch or leaf header/, (b) => b.writeUInt16LE(3, at(leaf) + 8)],
    [
      "a leaf with a changed count",
      leaf,
      /table of pairs is damaged/,
      (b) => b.writeUInt16LE(1, at(leaf) + 10),
    ],
    [
      "a leaf with a huge count",
      leaf,
      /table of pairs is damaged/,
      (b) => b.writeUInt16LE(65535, at(leaf) + 10),
    ],
    [
      "a leaf with a changed overflow",
      leaf,
      /above the high-water|do not fill|damaged|past the end/,
      (b) => b.writeUInt32LE(1, at(leaf) + 12),
    ],
    [
      "a pair that lies elsewhere",
      leaf,
      /table of pairs is damaged/,
      (b) => b.writeUInt32LE(4000, at(leaf) + 20),
    ],
    [
      "a value longer than the page",
      leaf,
      /table of pairs is damaged/,
      (b) => b.writeUInt32LE(0xfffffff0, at(leaf) + 28),
    ],
    [
      "a leaf with a huge overflow",
      leaf,
      /damaged|do not fill|past the end/,
      (b) => b.writeUInt32LE(0xffffffff, at(leaf) + 12),
    ],
    [
      "a branch with a huge overflow",
      branch,
      /more pages than its keys can fill/,
      (b) => b.writeUInt32LE(0xffffffff, at(branch) + 12),
    ],
    ["a branch without children", branch, /no children/, (b) => b.writeUInt16LE(0, at(branch) + 10)],
    [
      "a branch with a changed key size",
      branch,
      /table of children is damaged/,
      (b) => b.writeUInt32LE(99, at(branch) + 20),
    ],
    [
      "a child above the high-water mark",
      2 ** 40,
      /above the high-water/,
      (b) => b.writeBigUInt64LE(2n ** 40n, at(branch) + 24),
    ],
    [
      "a child that is the branch itself",
      branch,
      /referenced more than once/,
      (b) => b.writeBigUInt64LE(BigInt(branch), at(branch) + 24),
    ],
    [
      "a child that is a meta page",
      0,
      /referenced more than once/,
      (b) => b.writeBigUInt64LE(0n, at(branch) + 24),
    ],
    [
      "a child twice",
      leaf,
      /referenced more than once/,
      (b) => {
        const child = b.readBigUInt64LE(at(branch) + 24);
        b.writeBigUInt64LE(child, at(branch) + 40);
        return b;
      },
    ],
  ];
  for (const [what, page, message, change] of cases) {
    test(`${what} is a violation of its page, and no status is given`, () => {
      const reading = damaged(file, change);
      assert.equal(reading.status, undefined);
      if (what === "a child twice") assert.ok(reading.violations.some((v) => message.test(v.message)));
      else assertViolation(reading, page, message);
    });
  }

  test("keys out of order within a page are a violation", () => {
    const key = [3, 2].map((main) => ({ key: revisionKey(main), value: keyValue({ key: "a" }) }));
    const reading = damaged(sample({ key, inline: false }), () => {});
    assert.ok(reading.violations.some((v) => /not in strictly ascending order/.test(v.message)));
    assert.equal(reading.status, undefined);
  });

  test("the same key twice is a violation", () => {
    const key = [2, 2].map((main) => ({ key: revisionKey(main), value: keyValue({ key: "a" }) }));
    const reading = damaged(sample({ key, inline: false }), () => {});
    assert.ok(reading.violations.some((v) => /not in strictly ascending order/.test(v.message)));
  });

  test("keys out of order within a run of pages are a violation", () => {
    const value = keyValue({ key: "a", value: Buffer.alloc(2000) });
    for (const mains of [
      [2, 4, 3],
      [3, 2, 4],
      [2, 3, 3],
    ]) {
      const pairs = mains.map((main) => ({ key: revisionKey(main), value }));
      const users = mains.map((main) => ({ key: Buffer.alloc(3000, String(main)), value: Buffer.alloc(10) }));
      for (const buckets of [{ key: pairs }, { authUsers: users }]) {
        const reading = readWhole(bytesOf(writeBolt({ pageSize, buckets, minPairs: 3 })));
        assert.ok(reading.violations.some((v) => /not in strictly ascending order/.test(v.message)));
        assert.equal(reading.status, undefined);
      }
    }
  });

  test("leaves out of order are violations of their parents' bounds", () => {
    const children = file.runs.get(branch)?.bytes;
    assert.ok(children !== undefined);
    const [one, two] = [children.readBigUInt64LE(24), children.readBigUInt64LE(40)];
    const reading = damaged(file, (bytes) => {
      bytes.writeBigUInt64LE(two, at(branch) + 24);
      bytes.writeBigUInt64LE(one, at(branch) + 40);
    });
    assertViolation(reading, Number(two), /not below the next key of its parent/);
    assertViolation(reading, Number(one), /below the key its parent gives for it/);
    assert.equal(reading.violationCount, 2);
  });

  test("damage inside a run of pages is a violation of its first page", () => {
    const run = longRun(file);
    const shorter = damaged(file, (bytes) => bytes.writeUInt32LE(1, at(run) + 12));
    assertViolation(shorter, run, /damaged/);
    const longer = damaged(file, (bytes) => bytes.writeUInt32LE(9, at(run) + 12));
    assertViolation(longer, run, /do not fill/);
  });

  test("a damaged inline bucket and a damaged root of a bucket are violations", () => {
    const root = file.runs.get(file.root)?.bytes ?? Buffer.alloc(0);
    const inline = root.lastIndexOf("term") - 32;
    const page = damaged(file, (bytes) => bytes.writeUInt16LE(700, at(file.root) + inline + 10));
    assertViolation(page, file.root, /inline bucket "meta"/);
    const type = damaged(file, (bytes) => bytes.writeUInt16LE(1, at(file.root) + inline + 8));
    assertViolation(type, file.root, /bucket "meta" has a damaged root/);
    assert.equal(type.status, undefined);
  });
});

describe("free list", () => {
  const file = sample({ freelist: true });
  const list = file.freelist ?? 0;
  const at = list * pageSize;

  test("a page both free and in use is a violation", () => {
    const leaf = first(file, "leaf", (page) => page > (file.unused[0] ?? 0) && page < (file.unused[1] ?? 0));
    const reading = damaged(file, (bytes) => bytes.writeBigUInt64LE(BigInt(leaf), at + 16));
    assertViolation(reading, leaf, /in use and on the free list/);
    assertViolation(reading, file.unused[0] ?? 0, /neither in use nor on the free list/);
  });

  test("a free page above the high-water mark is a violation", () => {
    const count = file.unused.length;
    const reading = damaged(file, (bytes) => bytes.writeBigUInt64LE(5000n, at + 8 + 8 * count));
    assertViolation(reading, 5000, /above the high-water mark/);
  });

  test("a free list out of order, cut or zeroed is a violation", () => {
    const order = damaged(file, (bytes) => bytes.writeBigUInt64LE(5000n, at + 16));
    assertViolation(order, list, /ascending/);
    const count = damaged(file, (bytes) => bytes.writeUInt16LE(0xfffe, at + 10));
    assert.ok(count.violationCount > 0);
    const zeroed = damaged(file, (bytes) => bytes.fill(0, at, at + pageSize));
    assertViolation(zeroed, list, /no free list header/);
  });

  test("a count of more than 65534 is read from the first id", () => {
    const reading = damaged(file, (bytes) => {
      bytes.copyWithin(at + 24, at + 16, at + 16 + 8 * file.unused.length);
      bytes.writeBigUInt64LE(BigInt(file.unused.length), at + 16);
      bytes.writeUInt16LE(0xffff, at + 10);
    });
    assert.deepEqual(reading.violations, []);
  });
});

describe("entries of the key bucket", () => {
  const value = keyValue({ key: "a", value: Buffer.from("v"), revision: 3 });
  const marked = Buffer.concat([revisionKey(3), Buffer.from("x")]);
  const cases: [what: string, pair: Pair, message: RegExp][] = [
    ["a key of 16 bytes", { key: revisionKey(3).subarray(0, 16), value }, /invalid revision length/],
    [
      "a key of 19 bytes",
      { key: Buffer.concat([revisionKey(3), Buffer.from("tt")]), value },
      /invalid revision length/,
    ],
    ["a key without _", { key: Buffer.alloc(17, 3), value }, /no '_'/],
    ["a negative main revision", { key: revisionKey(-3n), value }, /negative revision/],
    ["a negative sub revision", { key: revisionKey(3, -1), value }, /negative revision/],
    ["a revision above 2^53", { key: revisionKey(2n ** 53n), value }, /revision above 2\^53/],
    ["a key with another mark", { key: marked, value }, /marked with something else/],
    [
      "a value that is no KeyValue",
      { key: revisionKey(3), value: Buffer.from([0x0a, 0x50]) },
      /value is no KeyValue/,
    ],
    ["a cut value", { key: revisionKey(3), value: value.subarray(0, -1) }, /value is no KeyValue/],
  ];
  for (const [what, pair, message] of cases) {
    test(`${what} is a violation`, () => {
      for (const inline of [true, false]) {
        const reading = damaged(sample({ inline, key: [pair] }), () => {});
        assert.equal(reading.violationCount, 1);
        assert.match(reading.violations[0]?.message ?? "", message);
      }
    });
  }

  test("a bad value that crosses pages is a violation", () => {
    const large = keyValue({ key: "a", value: Buffer.alloc(5000), lease: 300 });
    for (const key of [large.subarray(0, -1), Buffer.concat([large, Buffer.from([0x0d])])]) {
      const reading = damaged(sample({ key: [{ key: revisionKey(3), value: key }] }), () => {});
      assert.match(reading.violations[0]?.message ?? "", /value is no KeyValue/);
    }
  });
});

describe("files cut or lengthened", () => {
  const file = sample();
  const bytes = bytesOf(file);

  test("a file cut at any page names what is lost", () => {
    for (let pages = 2; pages < file.highWater; pages++) {
      const reading = readWhole(bytes.subarray(0, pages * pageSize));
      assertViolation(reading, -1, new RegExp(`it has ${pages} of the ${file.highWater} pages`));
    }
  });

  test("a file cut within a page is no whole number of pages", () => {
    assertViolation(readWhole(bytes.subarray(0, -100)), -1, /924 bytes into page/);
  });

  test("pages after the high-water mark are ignored, as bbolt does", () => {
    const reading = readWhole(Buffer.concat([bytes, Buffer.alloc(3 * pageSize, 7)]));
    assert.deepEqual(reading.violations, []);
    assert.deepEqual(reading.status, readWhole(bytes).status);
  });

  test("an empty file and one of a few bytes have no status", () => {
    for (const size of [0, 1, 15, 79, 80, 1023, 1024]) {
      const reading = readWhole(bytes.subarray(0, size));
      assert.equal(reading.status, undefined, `${size} bytes`);
      assert.ok(reading.violationCount > 0);
    }
  });
});

describe("any damage", () => {
  const small = databaseOf("mixed-3.6");
  const sound = readWhole(small);
  const live = liveRegions(small);

  test("a flipped bit in what is in use changes the hash or is a violation; in pages not in use it changes nothing", () => {
    const bits = fc.oneof(
      fc.integer({ min: 0, max: small.length * 8 - 1 }),
      fc.constantFrom(...live).chain(([from, to]) => fc.integer({ min: from * 8, max: to * 8 - 1 })),
    );
    fc.assert(
      fc.property(bits, (bit) => {
        const at = Math.floor(bit / 8);
        const bytes = Buffer.from(small);
        bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (bit % 8)), at);
        const reading = readWhole(bytes);
        if (live.some(([from, to]) => at >= from && at < to)) {
          const noticed = reading.violationCount > 0 || reading.status?.hash !== sound.status?.hash;
          assert.ok(noticed, `bit ${bit % 8} of byte ${at % 4096} of page ${Math.floor(at / 4096)}`);
        } else if (!live.some(([from]) => Math.floor(from / 4096) === Math.floor(at / 4096))) {
          assert.deepEqual(reading, sound);
        }
      }),
      { numRuns: 1500 },
    );
  });

  test("any flipped bit, cut or zeroed page makes the trailer wrong", async () => {
    const file = snapshotFile("mixed-3.5");
    const damage = fc.oneof(
      fc.integer({ min: 0, max: file.length * 8 - 1 }).map((bit) => {
        const bytes = Buffer.from(file);
        bytes.writeUInt8(bytes.readUInt8(Math.floor(bit / 8)) ^ (1 << (bit % 8)), Math.floor(bit / 8));
        return bytes;
      }),
      fc.integer({ min: 0, max: file.length - 1 }).map((size) => file.subarray(0, size)),
      fc.integer({ min: 0, max: Math.floor(file.length / 4096) - 1 }).map((page) => {
        const bytes = Buffer.from(file);
        return bytes.fill(0, page * 4096, (page + 1) * 4096);
      }),
    );
    await fc.assert(
      fc.asyncProperty(damage, async (bytes) => {
        if (bytes.equals(file)) return;
        const reading = await readSnapshot(Readable.from([bytes]), { signal: new AbortController().signal });
        assert.notEqual(reading.trailer, "valid");
      }),
      { numRuns: 200 },
    );
  });

  test("many random changes never throw", () => {
    const file = sample({ freelist: true });
    const sources = [
      bytesOf(file),
      small,
      bytesOf(writeBolt({ pageSize: 4096, buckets: { key: pairsOf(history) } })),
    ];
    const change = fc.record({
      at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      inHeader: fc.boolean(),
      with: fc.oneof(
        fc.uint8Array({ minLength: 1, maxLength: 40 }),
        fc.constantFrom(
          Buffer.alloc(4, 255),
          Buffer.alloc(8, 255),
          Buffer.alloc(8),
          Buffer.from([1, 0, 0, 0]),
        ),
      ),
    });
    fc.assert(
      fc.property(fc.constantFrom(...sources), fc.array(change, { maxLength: 12 }), (source, changes) => {
        const bytes = Buffer.from(source);
        for (const { at, inHeader, with: patch } of changes) {
          const target = Math.floor(at * bytes.length);
          bytes.set(
            patch.subarray(0, bytes.length - target),
            inHeader ? target - (target % pageSize) + (target % 80) : target,
          );
        }
        for (const page of [0, 1])
          if (changes.length % 2 === 0) sealMeta(bytes.subarray(page * pageSize, (page + 1) * pageSize));
        const whole = readWhole(bytes);
        assert.deepEqual(readInChunks(bytes, [3333]), whole);
        assert.ok(whole.violations.length <= 100 && whole.violationCount >= whole.violations.length);
      }),
      { numRuns: 800 },
    );
  });

  test("random bytes are no database", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000, size: "max" }), (bytes) => {
        const reading = readWhole(bytes);
        assert.equal(reading.status, undefined);
        assert.ok(reading.violationCount > 0);
      }),
      { numRuns: 300 },
    );
  });
});

test("a trailer that is right proves that the file is as etcd sent it", async () => {
  const bytes = bytesOf(sample());
  const signal = new AbortController().signal;
  const reading = await readSnapshot(Readable.from([withTrailer(bytes)]), { signal });
  assert.equal(reading.trailer, "valid");
  assert.equal(reading.fileBytes, bytes.length + 32);
  assert.equal(reading.size, bytes.length);
  assert.deepEqual(reading.violations, []);
});

/** Header, table and pairs of each leaf in use of a real file; metas' bodies and headers. Found by walking, not by our reader. */
function liveRegions(bytes: Buffer): [from: number, to: number][] {
  const regions: [number, number][] = [
    [0, 10],
    [4096, 4106],
    [16, 80],
    [4112, 4176],
  ];
  const visit = (page: number, isRoot: boolean) => {
    const at = page * 4096;
    const count = bytes.readUInt16LE(at + 10);
    let end = at + 16 + 16 * count;
    for (let row = at + 16; row < at + 16 + 16 * count; row += 16) {
      if (bytes.readUInt16LE(at + 8) === 1) {
        visit(Number(bytes.readBigUInt64LE(row + 8)), isRoot);
        continue;
      }
      const pair = row + bytes.readUInt32LE(row + 4);
      const value = pair + bytes.readUInt32LE(row + 8);
      end = value + bytes.readUInt32LE(row + 12);
      if (isRoot && bytes.readBigUInt64LE(value) !== 0n) visit(Number(bytes.readBigUInt64LE(value)), false);
    }
    // A branch's keys are no part of the hash. In the root's page lie sequences and page headers of inline buckets,
    // which nothing depends on.
    const to = isRoot ? at + 16 + 16 * count : end;
    if (bytes.readUInt16LE(at + 8) !== 1) {
      regions.push([at, to]);
      return;
    }
    // Nor is there anything that the size of its last key has to agree with.
    const lastKeySize = at + 16 * count + 4;
    regions.push([at, lastKeySize], [lastKeySize + 4, to]);
  };
  visit(Number(bytes.readBigUInt64LE(32)), true);
  return regions;
}
