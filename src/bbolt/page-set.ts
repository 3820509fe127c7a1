import { WordList } from "./word-list.ts";

/** A set of page ids, one bit each. A chunk of memory is taken only where an id was added. */
export class PageSet {
  readonly #words = new WordList();

  has(page: number): boolean {
    return (this.#words.get(Math.floor(page / 32)) & (1 << (page % 32))) !== 0;
  }

  add(page: number): void {
    const word = Math.floor(page / 32);
    this.#words.set(word, this.#words.get(word) | (1 << (page % 32)));
  }
}
