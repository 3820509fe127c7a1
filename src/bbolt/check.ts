import { compareSpans, type KeySpan } from "./key-order.ts";
import type { FreelistRun } from "./freelist.ts";
import type { LeafRecord, PageRecords } from "./page-records.ts";
import type { Violations } from "./violations.ts";
import { WordList } from "./word-list.ts";

/** bbolt's fan-out is at least two, so that no readable file comes near it. */
const maxDepth = 64;

interface Step {
  page: number;
  depth: number;
  /** Keys of the page are not below `least` and are below `limit`. */
  least: KeySpan | undefined;
  limit: KeySpan | undefined;
}

/**
 * Walks the trees of a scanned file as bbolt's Tx.Check does (tx_check.go): every page reached has an own header and
 * a valid type, lies below the high-water mark and is reached once, its overflow pages too; keys ascend within and
 * across pages and stay within their parents' bounds. One check covers all buckets of a file.
 */
export class TreeCheck {
  /** False once a page that was reached could not be read, so that what the leaves add up to is not the database. */
  complete = true;
  readonly #records: PageRecords;
  readonly #highWater: number;
  readonly #pages: number;
  readonly #violations: Violations;
  /** One bit a page. */
  readonly #reached = new WordList();

  constructor(options: { records: PageRecords; highWater: number; pages: number; violations: Violations }) {
    this.#records = options.records;
    this.#highWater = options.highWater;
    this.#pages = options.pages;
    this.#violations = options.violations;
  }

  /** Reports `page` and the `overflow` pages after it when the tree may not hold them, and marks them as reached. */
  reach(page: number, overflow: number): boolean {
    if (page >= this.#highWater || page + overflow >= this.#highWater) {
      const last = overflow === 0 ? "it" : `its last page ${page + overflow}`;
      return this.#refuse(
        page,
        `page is in use, but ${last} lies above the high-water mark ${this.#highWater}`,
      );
    }
    for (let part = page; part <= page + overflow; part++) {
      if (part >= this.#pages) return this.#refuse(part, `page is in use and lies past the end of the file`);
      if (!this.#isReached(part)) {
        this.#reached.set(
          Math.floor(part / 32),
          this.#reached.get(Math.floor(part / 32)) | (1 << (part % 32)),
        );
      } else {
        const as = part === page ? "" : ` (as an overflow page of page ${page})`;
        return this.#refuse(part, `page is referenced more than once${as}`);
      }
    }
    return true;
  }

  /** Calls `visit` with the leaves of the tree below `root` in the order of their keys. */
  walk(root: number, visit: (leaf: LeafRecord, page: number) => void): void {
    const steps: Step[] = [{ page: root, depth: 1, least: undefined, limit: undefined }];
    for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
      const record = this.#read(step);
      if (record === undefined) continue;
      if (record.kind === "leaf") {
        if (record.count > 0) this.#checkBounds(step, record.firstKey, record.lastKey);
        visit(record, step.page);
        continue;
      }
      if (step.depth >= maxDepth) {
        this.#refuse(step.page, `tree is deeper than ${maxDepth} pages`);
        continue;
      }
      this.#checkBounds(step, record.keys[0], record.keys.at(-1));
      for (let i = record.children.length - 1; i >= 0; i--) {
        const limit = record.keys[i + 1] ?? step.limit;
        steps.push({ page: record.children[i] ?? 0, depth: step.depth + 1, least: record.keys[i], limit });
      }
    }
  }

  /** Every page below the high-water mark is either reached or free: known only where the file stores its free list. */
  checkFree(freelist: FreelistRun): void {
    if (!freelist.whole) return;
    const end = Math.min(this.#highWater, this.#pages);
    const free = new WordList();
    for (let i = 0; i < freelist.pages.length; i++) {
      const page = freelist.pages.get(i);
      if (page >= this.#highWater) {
        this.#violations.add(
          page,
          `page is on the free list, but lies above the high-water mark ${this.#highWater}`,
        );
        continue;
      }
      if (this.#isReached(page)) this.#violations.add(page, "page is in use and on the free list");
      // Bits of pages past the end of the file would take memory for as many pages as the list makes up.
      if (page < end) free.set(Math.floor(page / 32), free.get(Math.floor(page / 32)) | (1 << (page % 32)));
    }
    if (!this.complete) return;
    for (let page = 2; page < end; page++) {
      const isFree = (free.get(Math.floor(page / 32)) & (1 << (page % 32))) !== 0;
      if (!isFree && !this.#isReached(page)) {
        this.#violations.add(page, "page is neither in use nor on the free list");
      }
    }
  }

  #isReached(page: number): boolean {
    return (this.#reached.get(Math.floor(page / 32)) & (1 << (page % 32))) !== 0;
  }

  #read(step: Step) {
    const { page } = step;
    // Before its record is decoded: thousands of rows may name one page, whose record may be as long.
    if (this.#isReached(page)) {
      this.reach(page, 0);
      return undefined;
    }
    const record = this.#records.get(page);
    if (record === undefined || record.kind === "broken") {
      if (!this.reach(page, 0)) return undefined;
      this.#refuse(
        page,
        record?.problem ?? "page is in use and has no branch or leaf header with its own id",
      );
      return undefined;
    }
    return this.reach(page, record.overflow) ? record : undefined;
  }

  #checkBounds(step: Step, first: KeySpan | undefined, last: KeySpan | undefined): void {
    if (first !== undefined && step.least !== undefined && compareSpans(first, step.least) < 0) {
      this.#violations.add(step.page, "first key of the page lies below the key its parent gives for it");
    }
    if (last !== undefined && step.limit !== undefined && compareSpans(last, step.limit) >= 0) {
      this.#violations.add(step.page, "last key of the page is not below the next key of its parent");
    }
  }

  #refuse(page: number, message: string): false {
    this.complete = false;
    this.#violations.add(page, message);
    return false;
  }
}
