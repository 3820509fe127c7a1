import { pageHeaderSize, readU64 } from "./page.ts";
import type { Violations } from "./violations.ts";
import { WordList } from "./word-list.ts";

/** The most free pages that are read: 64 GiB of 4 KiB pages. */
const maxFreePages = 1 << 24;

/**
 * Reads the stored free list, page after page: ids u64, ascending, after the header; a count of 0xffff says that
 * the first id is the real count (internal/freelist/shared.go).
 */
export class FreelistRun {
  readonly page: number;
  readonly overflow: number;
  /** The free pages, ascending. */
  readonly pages = new WordList();
  readonly #violations: Violations;
  /** Undefined until the word that holds it was read. */
  #count: number | undefined;
  #last = 1;
  #failed = false;

  constructor(page: number, overflow: number, count: number, violations: Violations) {
    this.page = page;
    this.overflow = overflow;
    this.#violations = violations;
    if (count !== 0xffff) this.#count = count;
  }

  /** Everything the list claims was read and is sound. */
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
        this.#violations.add(this.page, "free list is not in ascending order or too long");
        this.#failed = true;
      } else {
        this.#last = value;
        this.pages.push(value);
      }
    }
  }
}
