import { crc32c } from "@node-rs/crc32";
import { type Bucket, decodeBucket } from "../bbolt/bucket.ts";
import type { TreeCheck } from "../bbolt/check.ts";
import { combineCrc32c } from "../bbolt/crc32c-combine.ts";
import type { KeySpan } from "../bbolt/key-order.ts";
import { emptyLeafLayout, readLeaf, sizeProblem } from "../bbolt/leaf.ts";
import { elementSize, pageHeaderSize, viewOf } from "../bbolt/page.ts";
import type { LeafFacts } from "../bbolt/page-records.ts";
import type { Violations } from "../bbolt/violations.ts";
import { WordList } from "../bbolt/word-list.ts";
import { createFactsReader, type FactsReader } from "./facts.ts";
import { addRange, countLiveKeys } from "./key-table.ts";
import type { KeptPair } from "./kept-pairs.ts";
import type { LeafNotes } from "./leaf-notes.ts";
import { mainPart, revisionProblems } from "./revision-key.ts";

/** What all buckets of a database add up to. */
export interface BucketTotals {
  hash: number;
  revision: number;
  pairs: number;
  liveKeys: number;
  facts: FactsReader;
}

/** Buckets of which some pairs are facts. */
const factBuckets = new Set(["meta", "members", "cluster", "alarm", "auth"]);

interface Walk {
  check: TreeCheck;
  notes: LeafNotes;
  violations: Violations;
}

/** Walks all buckets below `root` in order and adds them up; what cannot be read becomes a violation. */
export function addUpBuckets(root: number, walk: Walk): BucketTotals {
  const { check, notes, violations } = walk;
  const buckets: { page: number; pair: KeptPair }[] = [];
  check.walk(root, (leaf, page) => {
    if (leaf.count === 0) return;
    const { kept } = notes.read(leaf.note);
    if (kept === undefined) {
      check.complete = false;
      violations.add(
        page,
        "page's buckets could not be kept: the file has too many different pages of buckets",
      );
      return;
    }
    const found = kept.filter((pair) => pair.isBucket);
    if (found.length !== leaf.count) {
      check.complete = false;
      violations.add(page, "page of buckets holds something else than buckets");
    }
    for (const pair of found) buckets.push({ page, pair });
  });

  const totals: BucketTotals = { hash: 0, revision: 0, pairs: 0, liveKeys: 0, facts: createFactsReader() };
  const ranges = new WordList();
  for (const { page, pair } of buckets) {
    const name = Buffer.from(pair.key).toString("latin1");
    totals.hash = combineCrc32c(totals.hash, crc32c(pair.key), pair.key.length);
    const bucket = decodeBucket(pair.value);
    if (bucket === undefined) {
      check.complete = false;
      violations.add(page, `bucket ${JSON.stringify(name)} has a damaged root`);
      continue;
    }
    forEachLeaf(bucket, name, page, walk, (leaf, at) => {
      totals.hash = combineCrc32c(totals.hash, leaf.crc, leaf.length);
      totals.pairs += leaf.count;
      if (name === "lease") totals.facts.facts.leases += leaf.count;
      if (name === "key") {
        const { problem, entries } = notes.read(leaf.note);
        if (problem === 0) {
          addRange(ranges, entries, leaf.count);
          totals.revision = mainPart(leaf.lastKey.bytes, leaf.lastKey.from);
        } else {
          violations.add(at, `page of bucket "key" holds a bad entry: ${revisionProblems[problem]}`);
        }
      } else {
        addFacts(name, notes.read(leaf.note).kept, at, totals.facts, walk);
      }
    });
  }
  totals.liveKeys = countLiveKeys(notes.entries, ranges);
  return totals;
}

function addFacts(
  bucket: string,
  kept: KeptPair[] | undefined,
  page: number,
  facts: FactsReader,
  walk: Walk,
): void {
  if (kept === undefined) {
    if (factBuckets.has(bucket)) walk.violations.add(page, `page of bucket "${bucket}" could not be kept`);
    return;
  }
  for (const pair of kept) {
    const problem = pair.isBucket ? `bucket "${bucket}" holds a bucket` : facts.add(bucket, pair);
    if (problem !== undefined) walk.violations.add(page, problem);
  }
}

function forEachLeaf(
  bucket: Bucket,
  name: string,
  page: number,
  { check, notes, violations }: Walk,
  visit: (leaf: LeafFacts & { lastKey: KeySpan }, page: number) => void,
): void {
  if (bucket.inline === undefined) {
    check.walk(bucket.root, (leaf, at) => {
      if (leaf.count > 0) visit(leaf, at);
    });
    return;
  }
  const bytes = bucket.inline;
  const leaf = emptyLeafLayout();
  const problem =
    readLeaf(bytes, viewOf(bytes), 0, bytes.length, 0, notes.sink(), leaf) ??
    (pageHeaderSize + elementSize * leaf.count + leaf.length === bytes.length ? undefined : sizeProblem);
  if (problem !== undefined) {
    check.complete = false;
    violations.add(page, `inline bucket ${JSON.stringify(name)}: ${problem}`);
  } else if (leaf.count > 0) {
    visit(leaf, page);
  }
}
