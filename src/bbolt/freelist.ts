import { pageHeaderSize, readU64 } from "./page.ts";
import type { Violations } from "./violations.ts";
import { WordList } from "./word-list.ts";

/** The most free pages that a list may name: 64 GiB of 4 KiB pages. */
const maxFreePages = 1 << 24;
/** The count in the page header that says: the first u64 is the count. */
const countInFirstWord = 0xffff;
/** Pages 0 and 1 hold the metas and are never free. */
const lastMetaPage = 1;

/** Reads the stored free list page by page: ascending page ids u64 after the header (internal/freelist/shared.go). */
export class FreelistRun {
  readonly page: number;
  readonly overflow: number;
  /** The free pages, ascending. */
  readonly pages = new WordList();
  readonly #violations: Violations;
  /** Undefined until the word that holds it has been read. */
  #count: number | undefined;
  #last = lastMetaPage;
  #failed = false;

  constructor(page: number, overflow: number, count: number, violations: Violations) {
    this.page = page;
    this.overflow = overflow;
    this.#violations = violations;
    if (count !== countInFirstWord) this.#count = count;
  }

  /** Whether all ids of the list have been read and are sound. */
  get whole(): boolean {
    return !this.#failed && this.pages.length === this.#count;
  }

  feed(view: DataView, at: number, pageSize: number, isFirst: boolean): void {
    const end = at + pageSize;
    for (let word = isFirst ? at + pageHeaderSize : at; word < end && !this.#failed; word += 8) {
      const value = readU64(view, word);
      if (this.#count === undefined) {
        this.#count = value;
      } else if (this.pages.length >= this.#count) {
        return;
      } else if (value <= this.#last || value > 0xffffffff || this.pages.length >= maxFreePages) {
        this.#violations.add(this.page, "free list is not in ascending order, or is too long");
        this.#failed = true;
      } else {
        this.#last = value;
        this.pages.push(value);
      }
    }
  }
}
