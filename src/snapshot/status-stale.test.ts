import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type BoltFile,
  bytesOf,
  type Pair,
  revisionKey,
  sealMeta,
  writeBolt,
} from "../../test/testdata/bolt-writer.ts";
import { liveKeysOf, pairsOf, statusHash } from "../../test/testdata/key-histories.ts";
import type { SnapshotMetadata } from "./summary/metadata.ts";
import { createStatusReader, type SnapshotReading } from "./status.ts";

/** More stale copies than fit in memory in full: many commits without a defragmentation leave as many. */
const staleCopies = 130_000;
const history = Array.from({ length: 60 }, (_, i) => ({
  key: `/k/${i % 20}`,
  size: i % 9 === 0 ? undefined : 40,
}));
const memberEntry = { name: "m0", peerURLs: ["http://m0:2380"], clientURLs: ["http://m0:2379"] };

const pair = (key: string | number[], value: string | number[] | Uint8Array): Pair => ({
  key: Buffer.from(key),
  value: Buffer.from(value),
});

/** The buckets of a cluster of one member with an alarm. */
const buckets: Record<string, Pair[]> = {
  alarm: [pair([0x08, 0x0a, 0x10, 0x01], "")],
  auth: [pair("authEnabled", [1]), pair("authRevision", u64(5))],
  authRoles: [pair("root", "x".repeat(430))],
  authUsers: [pair("root", "y".repeat(430))],
  cluster: [pair("clusterVersion", "3.6.0")],
  key: pairsOf(history),
  lease: [pair([0, 0, 0, 0, 0, 0, 0, 7], "z".repeat(430))],
  members: [pair("a", JSON.stringify(memberEntry))],
  members_removed: [],
  meta: [
    pair("confState", JSON.stringify({ voters: [10], auto_leave: false })),
    pair("consistent_index", u64(400)),
    pair("finishedCompactRev", revisionKey(17)),
    pair("scheduledCompactRev", revisionKey(17)),
    pair("storageVersion", "3.6.0"),
    pair("term", u64(3)),
  ],
};

const metadata: SnapshotMetadata = {
  consistentIndex: 400n,
  term: 3n,
  compactRevision: 17,
  clusterVersion: "3.6.0",
  members: [{ id: "a", ...memberEntry, isLearner: false }],
  alarms: [{ memberID: "a", alarm: "NOSPACE" }],
  authEnabled: true,
  leases: 1,
};

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

/** Reads the file with `stalePage(i)` as the contents of its i-th unused page, and writes that page's id into it. */
function readAmong(file: BoltFile, stalePage: (i: number) => Buffer): SnapshotReading {
  const reader = createStatusReader();
  let stale = 0;
  const pushStale = (to: number) => {
    for (let page = file.unused[stale]; page !== undefined && page < to; page = file.unused[++stale]) {
      const bytes = stalePage(stale);
      bytes.writeBigUInt64LE(BigInt(page));
      reader.push(bytes);
    }
  };
  for (const [page, { bytes }] of [...file.runs].sort(([a], [b]) => a - b)) {
    pushStale(page);
    reader.push(bytes);
  }
  return reader.finishAtOnce();
}

/** Copies of one of the file's pages as other commits wrote it, with another raft index and another root of `key`. */
function copiesOf(file: BoltFile, page: number): (i: number) => Buffer {
  const bytes = Buffer.from(file.runs.get(page)?.bytes ?? Buffer.alloc(0));
  const index = bytes.indexOf("consistent_index");
  const key = bytes.indexOf("key");
  return (i) => {
    if (index > 0) bytes.writeBigUInt64BE(BigInt(1000 + i), index + "consistent_index".length);
    if (key > 0) bytes.writeBigUInt64LE(BigInt(1000 + i), key + "key".length);
    return bytes;
  };
}

function assertSound(reading: SnapshotReading, expected: SnapshotMetadata): void {
  assert.deepEqual(reading.violations, []);
  const { status } = reading;
  assert.ok(status !== undefined);
  assert.equal(status.hash, statusHash(buckets));
  assert.equal(status.pairs, Object.values(buckets).flat().length);
  assert.equal(status.liveKeys, liveKeysOf(history));
  assert.notEqual(status.liveKeys, status.pairs);
  assert.equal(status.totalKeys, status.liveKeys);
  assert.equal(status.revision, history.length + 1);
  assert.equal(status.storageVersion, "3.6.0");
  assert.deepEqual(status.metadata, expected);
}

const gap = (next: number) => (next === 2 ? staleCopies : 0);

test("stale copies of the root change nothing, however many there are", () => {
  const file = writeBolt({ pageSize: 4096, buckets, gap });
  assert.equal(file.runs.get(file.root)?.kind, "leaf");
  assertSound(readAmong(file, copiesOf(file, file.root)), metadata);
});

test("stale copies of the leaves below a root that is a branch change nothing, however many there are", () => {
  const file = writeBolt({ pageSize: 2048, buckets, gap });
  assert.equal(file.runs.get(file.root)?.kind, "branch");
  const isOfBuckets = (run: { kind: string; bytes: Buffer }) =>
    run.kind === "leaf" && run.bytes.readUInt32LE(16) === 1;
  const copies = [...file.runs].filter(([, run]) => isOfBuckets(run)).map(([page]) => copiesOf(file, page));
  assert.equal(copies.length, 2);
  assertSound(
    readAmong(file, (i) => (copies[i % 2] ?? assert.fail())(i)),
    metadata,
  );
});

test("the root is that of the second meta page when that page is newer", () => {
  const file = writeBolt({ pageSize: 4096, buckets, gap: (next) => (next === 2 ? 20 : 0) });
  const metaOf = (page: number) => file.runs.get(page)?.bytes ?? assert.fail();
  metaOf(0).writeBigUInt64LE(BigInt(file.unused[0] ?? 0), 32);
  metaOf(1).writeBigUInt64LE(8n, 64);
  for (const page of [0, 1]) sealMeta(metaOf(page));
  assertSound(readAmong(file, copiesOf(file, file.root)), metadata);
});

/** More different pages that look like those of `members` than there is room for. */
const floodPages = 900;
const floodGap = (next: number) => (next === 2 ? floodPages : 0);

function flood(): (i: number) => Buffer {
  const sizes = [2, 6, 14, 30, 70, 150, 300, 700, 1500, 3000, 6000, 12_000, 40_000];
  const members = sizes.map((size, i) => pair(i.toString(16), `{${" ".repeat(size)}`));
  const file = writeBolt({ pageSize: 65536, buckets: { members }, inline: false });
  const bytes = Buffer.from(file.runs.get(2)?.bytes ?? assert.fail());
  const places = members.map(({ value }) => bytes.indexOf(value));
  return (i) => {
    for (const at of places) bytes.writeUInt16LE(i + 1, at + 1);
    return bytes;
  };
}

test("metadata without room is unknown, and everything else is exact", () => {
  const file = writeBolt({ pageSize: 65536, buckets, inline: false, gap: floodGap });
  assertSound(readAmong(file, flood()), {
    ...metadata,
    consistentIndex: undefined,
    term: undefined,
    compactRevision: undefined,
    members: undefined,
    alarms: undefined,
    authEnabled: undefined,
  });
});

test("metadata on the root page always finds room", () => {
  const file = writeBolt({ pageSize: 65536, buckets, gap: floodGap });
  assertSound(readAmong(file, flood()), metadata);
});

test("metadata of a bucket whose root page comes after the root always finds room", () => {
  const file = writeBolt({ pageSize: 65536, buckets, inline: false, gap: floodGap });
  moveBehind(file, "members");
  assertSound(readAmong(file, flood()), {
    ...metadata,
    consistentIndex: undefined,
    term: undefined,
    compactRevision: undefined,
    alarms: undefined,
    authEnabled: undefined,
  });
});

/** Moves a bucket's only page to the end of the file. */
function moveBehind(file: BoltFile, bucket: string): void {
  const root = file.runs.get(file.root)?.bytes ?? assert.fail();
  const rootAt = root.indexOf(bucket) + bucket.length;
  const from = Number(root.readBigUInt64LE(rootAt));
  const run = file.runs.get(from) ?? assert.fail();
  const to = file.highWater++;
  root.writeBigUInt64LE(BigInt(to), rootAt);
  run.bytes.writeBigUInt64LE(BigInt(to));
  file.runs.set(to, run);
  file.runs.set(from, { ...run, bytes: Buffer.alloc(file.pageSize) });
  for (const page of [0, 1]) {
    const meta = file.runs.get(page)?.bytes ?? assert.fail();
    meta.writeBigUInt64LE(BigInt(file.highWater), 56);
    sealMeta(meta);
  }
}

test("a bucket within a bucket is a violation, whatever the length of its name and value", () => {
  for (const [key, value] of [
    ["n".repeat(100), "v"],
    ["n", "v".repeat(70_000)],
    ["n".repeat(5000), "v".repeat(70_000)],
  ] as const) {
    const file = writeBolt({
      pageSize: 4096,
      buckets: { authUsers: [pair(key, value)], key: [] },
      inline: false,
    });
    const bytes = bytesOf(file);
    const at = bytes.indexOf(key) - 16;
    assert.equal(bytes.readUInt32LE(at), 0);
    bytes.writeUInt32LE(1, at);
    const reader = createStatusReader();
    reader.push(bytes);
    assert.match(
      reader.finishAtOnce().violations[0]?.message ?? "",
      /bucket "authUsers" holds a bucket/,
      key,
    );
  }
});

test("a bucket within a small bucket is a violation, on a page of its own or inline", () => {
  for (const inline of [true, false]) {
    const file = writeBolt({ pageSize: 4096, buckets, inline });
    const bytes = bytesOf(file);
    const at = bytes.indexOf("clusterVersion") - 16;
    assert.equal(bytes.readUInt32LE(at), 0);
    bytes.writeUInt32LE(1, at);
    const reader = createStatusReader();
    reader.push(bytes);
    assert.match(reader.finishAtOnce().violations[0]?.message ?? "", /bucket "cluster".* holds a bucket/);
  }
});
