import assert from "node:assert/strict";
import { type BoltFile, bytesOf, type Pair, sealMeta, writeBolt } from "../../test/testdata/bolt-writer.ts";
import { pairsOf } from "../../test/testdata/key-histories.ts";
import { readInChunks } from "../../test/testdata/snapshot-files.ts";
import type { SnapshotReading } from "./status.ts";

export const pageSize = 1024;
export const history = Array.from({ length: 120 }, (_, i) => ({
  key: `/k/${i % 50}`,
  size: i === 60 ? 3000 : i % 90,
}));

/** A file with a history of keys, a lease and a term, and unused pages. */
export function sample(options: { freelist?: boolean; inline?: boolean; key?: Pair[] } = {}): BoltFile {
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

/** The lowest page of a kind. */
export function first(file: BoltFile, kind: "leaf" | "branch", accept = (_page: number) => true): number {
  for (const [page, run] of file.runs) if (run.kind === kind && accept(page)) return page;
  throw new Error(`no ${kind}`);
}

/** The first leaf of several pages. */
export function longRun(file: BoltFile): number {
  return first(file, "leaf", (page) => (file.runs.get(page)?.bytes.length ?? 0) > pageSize);
}

/** Reads a copy of the file's bytes after `change`, which may also return other bytes. */
export function damaged(file: BoltFile, change: (bytes: Buffer) => unknown): SnapshotReading {
  const bytes = bytesOf(file);
  const changed = change(bytes);
  return readInChunks(changed instanceof Uint8Array ? changed : bytes, [4096, 1000]);
}

export function assertViolation(reading: SnapshotReading, page: number, message: RegExp): void {
  const found = reading.violations.some(
    (violation) => violation.page === page && message.test(violation.message),
  );
  assert.ok(found, `no ${message} of page ${page} in ${JSON.stringify(reading.violations)}`);
}

export function changeMeta(bytes: Buffer, page: number, change: (meta: Buffer) => void): void {
  const meta = bytes.subarray(page * pageSize, (page + 1) * pageSize);
  change(meta);
  sealMeta(meta);
}
