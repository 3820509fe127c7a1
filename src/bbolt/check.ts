import { compareSpans, type KeySpan } from "./key-order.ts";
import type { FreelistRun } from "./freelist.ts";
import type { LeafRecord, PageRecords } from "./page-records.ts";
import { PageSet } from "./page-set.ts";
import type { Violations } from "./violations.ts";

/** A branch has at least two children, so no readable file has a tree of this depth. */
const maxDepth = 64;

/** A page that the walk has yet to visit. */
interface Visit {
  page: number;
  depth: number;
  /** The page's keys are not below `least` and are below `limit`. */
  least: KeySpan | undefined;
  limit: KeySpan | undefined;
}

/**
 * Walks the trees of a scanned file as bbolt's Tx.Check does (tx_check.go): each page reached has a header with its
 * own id and a valid type, and lies below the high-water mark; it and its overflow pages are reached once; keys ascend
 * within and across pages and stay within their parents' bounds. One check covers all buckets of a file.
 */
export class TreeCheck {
  /** False once a page in use could not be read: the leaves visited are then not the whole database. */
  complete = true;
  readonly #records: PageRecords;
  readonly #highWater: number;
  readonly #pages: number;
  readonly #violations: Violations;
  readonly #reached = new PageSet();

  constructor(options: { records: PageRecords; highWater: number; pages: number; violations: Violations }) {
    this.#records = options.records;
    this.#highWater = options.highWater;
    this.#pages = options.pages;
    this.#violations = options.violations;
  }

  /** Marks `page` and the `overflow` pages after it as in use. Reports a violation when the tree cannot hold them. */
  reach(page: number, overflow: number): boolean {
    if (page >= this.#highWater || page + overflow >= this.#highWater) {
      const last = overflow === 0 ? "it" : `its last page ${page + overflow}`;
      return this.#reject(
        page,
        `page is in use, but ${last} lies above the high-water mark ${this.#highWater}`,
      );
    }
    for (let part = page; part <= page + overflow; part++) {
      if (part >= this.#pages) return this.#reject(part, "page is in use and lies past the end of the file");
      if (this.#reached.has(part)) {
        const as = part === page ? "" : ` (as an overflow page of page ${page})`;
        return this.#reject(part, `page is referenced more than once${as}`);
      }
      this.#reached.add(part);
    }
    return true;
  }

  /** Calls `visit` with the leaves of the tree below `root` in the order of their keys. */
  walk(root: number, visit: (leaf: LeafRecord, page: number) => void): void {
    const pending: Visit[] = [{ page: root, depth: 1, least: undefined, limit: undefined }];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const record = this.#read(next.page);
      if (record === undefined) continue;
      if (record.kind === "leaf") {
        if (record.count > 0) this.#checkBounds(next, record.firstKey, record.lastKey);
        visit(record, next.page);
        continue;
      }
      if (next.depth >= maxDepth) {
        this.#reject(next.page, `tree is deeper than ${maxDepth} pages`);
        continue;
      }
      this.#checkBounds(next, record.keys[0], record.keys.at(-1));
      for (let i = record.children.length - 1; i >= 0; i--) {
        const limit = record.keys[i + 1] ?? next.limit;
        pending.push({ page: record.children[i] ?? 0, depth: next.depth + 1, least: record.keys[i], limit });
      }
    }
  }

  /** Checks that each page below the high-water mark is either in use or free, where the file stores its free list. */
  checkFree(freelist: FreelistRun): void {
    if (!freelist.whole) return;
    const end = Math.min(this.#highWater, this.#pages);
    const free = new PageSet();
    for (let i = 0; i < freelist.pages.length; i++) {
      const page = freelist.pages.get(i);
      if (page >= this.#highWater) {
        this.#violations.add(
          page,
          `page is on the free list, but lies above the high-water mark ${this.#highWater}`,
        );
        continue;
      }
      if (this.#reached.has(page)) this.#violations.add(page, "page is in use and on the free list");
      // A damaged list may name pages past the end of the file; a set of those could take any amount of memory.
      if (page < end) free.add(page);
    }
    if (!this.complete) return;
    for (let page = 2; page < end; page++) {
      if (!free.has(page) && !this.#reached.has(page)) {
        this.#violations.add(page, "page is neither in use nor on the free list");
      }
    }
  }

  #read(page: number) {
    // Checked before the record is decoded: thousands of rows may name one page with a long record.
    if (this.#reached.has(page)) {
      this.reach(page, 0);
      return undefined;
    }
    const record = this.#records.get(page);
    if (record === undefined || record.kind === "broken") {
      if (!this.reach(page, 0)) return undefined;
      this.#reject(
        page,
        record?.problem ?? "page is in use and has no branch or leaf header with its own id",
      );
      return undefined;
    }
    return this.reach(page, record.overflow) ? record : undefined;
  }

  #checkBounds(visit: Visit, first: KeySpan | undefined, last: KeySpan | undefined): void {
    if (first !== undefined && visit.least !== undefined && compareSpans(first, visit.least) < 0) {
      this.#violations.add(visit.page, "first key of the page lies below the key its parent gives for it");
    }
    if (last !== undefined && visit.limit !== undefined && compareSpans(last, visit.limit) >= 0) {
      this.#violations.add(visit.page, "last key of the page is not below the next key of its parent");
    }
  }

  #reject(page: number, message: string): false {
    this.complete = false;
    this.#violations.add(page, message);
    return false;
  }
}
