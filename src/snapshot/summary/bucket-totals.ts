import { crc32c } from "@node-rs/crc32";
import type { TreeCheck } from "../../bbolt/check.ts";
import { combineCrc32c } from "../../bbolt/crc32c-combine.ts";
import type { LeafRecord } from "../../bbolt/page-records.ts";
import type { Violations } from "../../bbolt/violations.ts";
import { WordList } from "../../bbolt/word-list.ts";
import { MetadataReader } from "./metadata.ts";
import type { BucketSummary } from "./bucket-codec.ts";
import type { RetainedPage } from "./retained-pairs.ts";
import { addRange, countLiveKeys } from "./live-keys.ts";
import type { LeafSummary, LeafSummaries } from "./leaf-summary.ts";
import { mainPart, revisionProblems } from "./revision-key.ts";

/** Totals over all buckets of a database. */
export interface BucketTotals {
  hash: number;
  revision: number;
  pairs: number;
  liveKeys: number;
  metadata: MetadataReader;
}

interface Walk {
  check: TreeCheck;
  summaries: LeafSummaries;
  violations: Violations;
}

/**
 * Walks all buckets below `root` in order and totals them. What cannot be read becomes a violation. Yields between the
 * steps of counting the live keys, which takes most of the time.
 */
export function* sumBuckets(root: number, walk: Walk): Generator<void, BucketTotals> {
  const { check, summaries, violations } = walk;
  const buckets: { page: number; name: Uint8Array; bucket: BucketSummary }[] = [];
  check.walk(root, (leaf, page) => {
    if (leaf.count === 0) return;
    const { retained } = summaries.read(leaf.summaryRef);
    const known = retained.buckets.filter((bucket) => bucket !== undefined);
    if (known.length !== leaf.count) {
      check.complete = false;
      violations.add(page, "page of buckets holds a pair that is not a bucket");
    }
    for (const { name, bucket } of known) buckets.push({ page, name, bucket });
  });

  const totals: BucketTotals = {
    hash: 0,
    revision: 0,
    pairs: 0,
    liveKeys: 0,
    metadata: new MetadataReader(),
  };
  const ranges = new WordList();
  for (const { page, name: bytes, bucket } of buckets) {
    const name = Buffer.from(bytes).toString("latin1");
    totals.hash = combineCrc32c(totals.hash, crc32c(bytes), bytes.length);
    forEachLeaf(bucket, name, page, walk, (leaf, summary, at) => {
      totals.hash = combineCrc32c(totals.hash, leaf.crc, leaf.length);
      totals.pairs += leaf.count;
      if (name === "lease") totals.metadata.addLeases(leaf.count);
      if (name !== "key") {
        addMetadata(name, summary.retained, at, totals.metadata, walk);
      } else if (summary.problem === 0) {
        addRange(ranges, summary.entries, leaf.count);
        totals.revision = mainPart(leaf.lastKey.bytes, leaf.lastKey.from);
      } else {
        violations.add(at, `page of bucket "key" holds a bad pair: ${revisionProblems[summary.problem]}`);
      }
    });
  }
  totals.liveKeys = yield* countLiveKeys(summaries.entries, ranges);
  return totals;
}

function addMetadata(
  bucket: string,
  retained: RetainedPage,
  page: number,
  metadata: MetadataReader,
  { violations }: Walk,
): void {
  if (retained.lostPairs) metadata.markIncomplete(bucket);
  for (const pair of retained.pairs) {
    const problem = metadata.add(bucket, pair);
    if (problem !== undefined) violations.add(page, problem);
  }
  for (const _ of retained.buckets) violations.add(page, `bucket "${bucket}" holds a bucket`);
}

function forEachLeaf(
  bucket: BucketSummary,
  name: string,
  page: number,
  { check, summaries, violations }: Walk,
  visit: (
    leaf: Pick<LeafRecord, "count" | "crc" | "length" | "lastKey">,
    summary: LeafSummary,
    page: number,
  ) => void,
): void {
  switch (bucket.kind) {
    case "tree":
      return check.walk(bucket.root, (leaf, at) => {
        if (leaf.count > 0) visit(leaf, summaries.read(leaf.summaryRef), at);
      });
    case "inline":
      if (bucket.leaf.count > 0) visit(bucket.leaf, summaries.readInline(bucket.leaf), page);
      return;
    case "damaged": {
      const { problem } = bucket;
      const quoted = JSON.stringify(name);
      check.complete = false;
      violations.add(
        page,
        problem === undefined ? `bucket ${quoted} has a damaged root` : `inline bucket ${quoted}: ${problem}`,
      );
      return;
    }
    default:
      bucket satisfies never;
  }
}
