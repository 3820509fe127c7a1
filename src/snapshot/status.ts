import { TreeCheck } from "../bbolt/check.ts";
import { decodeMeta, findPageSize, type Meta } from "../bbolt/meta.ts";
import { chooseMeta } from "../bbolt/meta-choice.ts";
import { maxPageSize } from "../bbolt/page.ts";
import { createPageCutter, type PageCutter } from "../bbolt/page-cutter.ts";
import { PageScan } from "../bbolt/scan.ts";
import { createViolations, type Violation, type Violations } from "../bbolt/violations.ts";
import { runAtOnce, runInSlices } from "./slices.ts";
import { sumBuckets } from "./summary/bucket-totals.ts";
import type { SnapshotMetadata } from "./summary/metadata.ts";
import { LeafSummaries } from "./summary/leaf-summary.ts";

export type { Violation } from "../bbolt/violations.ts";
export type { SnapshotMetadata } from "./summary/metadata.ts";

/** What `etcdutl snapshot status` shows of a database, with the metadata of its buckets. */
export interface SnapshotStatus {
  /** CRC-32C over the names and pairs of all buckets, in order, as etcdutl computes it (unsigned, 32 bits). */
  hash: number;
  /** Main revision of the last pair of the `key` bucket, deletions included; 0 when the bucket is empty. */
  revision: number;
  /**
   * Keys as counted by the etcdutl of the etcd minor that made the file: `liveKeys` from 3.6 on, `pairs` before. A
   * file is of 3.6 or later when it has a storage version, or a cluster version of 3.6 or later: a new 3.6 cluster
   * writes its storage version some seconds after its first start. A cluster with 3.5 members counts as 3.5.
   */
  totalKeys: number;
  /** Pairs in all buckets. */
  pairs: number;
  /** User keys that exist: the last pair of the key is not a deletion. */
  liveKeys: number;
  /** Bytes up to the high-water mark, without the trailer. */
  totalSize: number;
  /** Such as `3.6.0`; "" before 3.6. */
  storageVersion: string;
  /** Bytes of a page. */
  pageSize: number;
  metadata: SnapshotMetadata;
}

export interface SnapshotReading {
  /** Undefined when a part of the database could not be read. */
  status: SnapshotStatus | undefined;
  /** The first hundred violations. A sound snapshot has none. */
  violations: Violation[];
  violationCount: number;
  /** Bytes of the database that were read. */
  size: number;
}

/** Reads a database without its trailer once, in order, in chunks of any size. Damage becomes violations, not errors. */
export interface StatusReader {
  push(chunk: Uint8Array): void;
  /**
   * Call once, after the last push. Lets the event loop run while it counts: the keys of 28 million revisions take 7 s.
   * Throws the signal's reason when it fires before the end.
   */
  finish(signal?: AbortSignal): Promise<SnapshotReading>;
  /** The same, in one go, for callers with nothing else to do meanwhile. */
  finishAtOnce(): SnapshotReading;
}

/** Bytes that the reader collects before it opens the database: both meta pages at any page size. */
const startSize = 2 * maxPageSize;

export function createStatusReader(): StatusReader {
  const violations = createViolations();
  const start = new Uint8Array(startSize);
  let size = 0;
  let database: Database | "unopened" | "unreadable" = "unopened";

  function open(): void {
    const bytes = start.subarray(0, Math.min(size, startSize));
    database = openDatabase(bytes, violations) ?? "unreadable";
    if (database !== "unreadable") database.pages.push(bytes);
  }

  function* finishInSteps(): Generator<void, SnapshotReading> {
    if (database === "unopened") open();
    const status =
      database === "unreadable" || database === "unopened"
        ? undefined
        : yield* readStatus(database, violations);
    return { status, violations: violations.list, violationCount: violations.count, size };
  }

  return {
    push(chunk) {
      const before = size;
      size += chunk.length;
      let rest = chunk;
      if (database === "unopened") {
        const head = chunk.subarray(0, startSize - before);
        start.set(head, before);
        if (size < startSize) return;
        rest = chunk.subarray(head.length);
        open();
      }
      if (database !== "unreadable" && database !== "unopened") database.pages.push(rest);
    },
    finish: (signal) => runInSlices(finishInSteps(), signal),
    finishAtOnce: () => runAtOnce(finishInSteps()),
  };
}

interface Database {
  pageSize: number;
  meta: Meta;
  summaries: LeafSummaries;
  scan: PageScan;
  pages: PageCutter;
}

/** Undefined when the file's first bytes hold no valid meta page. */
function openDatabase(start: Uint8Array, violations: Violations): Database | undefined {
  const pageSize = findPageSize(start);
  const meta = pageSize === undefined ? undefined : chooseMeta(start, pageSize, violations);
  if (pageSize === undefined || meta === undefined) {
    violations.add(0, `meta page cannot be used: ${decodeMeta(start, 0).invalid}`);
    violations.add(
      -1,
      "no second meta page was found: this is not a bbolt database, or its start is damaged",
    );
    return undefined;
  }
  const summaries = new LeafSummaries(meta.root);
  const scan = new PageScan({ pageSize, sink: summaries.sink(), freelistPage: meta.freelist, violations });
  return { pageSize, meta, summaries, scan, pages: createPageCutter(pageSize, scan) };
}

function* readStatus(
  database: Database,
  violations: Violations,
): Generator<void, SnapshotStatus | undefined> {
  const { pageSize, meta, summaries, scan, pages } = database;
  scan.end();
  if (pages.held > 0) {
    violations.add(
      -1,
      `file ends ${pages.held} bytes into page ${scan.pages}: it is not a whole number of pages`,
    );
  }
  if (scan.pages < meta.highWater) {
    violations.add(
      -1,
      `file is truncated: it has ${scan.pages} of the ${meta.highWater} pages in its meta page`,
    );
  }
  const check = new TreeCheck({
    records: scan.records,
    highWater: meta.highWater,
    pages: scan.pages,
    violations,
  });
  check.reach(0, 1);
  if (meta.freelist !== undefined) reachFreelist(meta.freelist, database, check, violations);
  const totals = yield* sumBuckets(meta.root, { check, summaries, violations });
  if (scan.freelist !== undefined) check.checkFree(scan.freelist);
  if (!check.complete) return undefined;
  const { metadata, storageVersion } = totals.metadata.finish();
  const countsLiveKeys = storageVersion !== "" || isFrom36(metadata.clusterVersion);
  return {
    hash: totals.hash,
    revision: totals.revision,
    totalKeys: countsLiveKeys ? totals.liveKeys : totals.pairs,
    pairs: totals.pairs,
    liveKeys: totals.liveKeys,
    totalSize: meta.highWater * pageSize,
    storageVersion,
    pageSize,
    metadata,
  };
}

function reachFreelist(page: number, { scan }: Database, check: TreeCheck, violations: Violations): void {
  if (scan.freelist === undefined)
    violations.add(page, "page of the free list has no free list header with its own id");
  else if (!scan.freelist.whole) violations.add(page, "free list is damaged");
  check.reach(page, scan.freelist?.overflow ?? 0);
}

/** Whether a cluster version such as `3.6.0` is 3.6 or later. */
function isFrom36(clusterVersion: string): boolean {
  const [major = 0, minor = 0] = clusterVersion.split(".").map(Number);
  return major > 3 || (major === 3 && minor >= 6);
}
