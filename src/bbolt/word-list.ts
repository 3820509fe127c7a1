const chunkBits = 16;
const chunkWords = 1 << chunkBits;

/**
 * A list of unsigned 32-bit words of any length. It grows by chunks of 256 KiB, so growing copies nothing. Words that
 * were never set are 0.
 */
export class WordList {
  readonly #chunks: (Uint32Array | undefined)[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get(index: number): number {
    return this.#chunks[Math.floor(index / chunkWords)]?.[index % chunkWords] ?? 0;
  }

  set(index: number, word: number): void {
    const at = Math.floor(index / chunkWords);
    let chunk = this.#chunks[at];
    if (chunk === undefined) {
      chunk = new Uint32Array(chunkWords);
      this.#chunks[at] = chunk;
    }
    chunk[index % chunkWords] = word;
    if (index >= this.#length) this.#length = index + 1;
  }

  push(word: number): void {
    this.set(this.#length, word);
  }

  /** Appends the first `count` of `words`; returns the index of the first. */
  append(words: Uint32Array, count: number): number {
    const start = this.#length;
    for (let done = 0; done < count; ) {
      const at = Math.floor(this.#length / chunkWords);
      let chunk = this.#chunks[at];
      if (chunk === undefined) {
        chunk = new Uint32Array(chunkWords);
        this.#chunks[at] = chunk;
      }
      const offset = this.#length % chunkWords;
      const part = Math.min(count - done, chunkWords - offset);
      for (let i = 0; i < part; i++) chunk[offset + i] = words[done + i] ?? 0;
      done += part;
      this.#length += part;
    }
    return start;
  }

  /** Calls `visit` with the memory that holds the words from `start` to `start + count`, chunk by chunk. */
  spans(start: number, count: number, visit: (words: Uint32Array, from: number, to: number) => void): void {
    const end = Math.min(start + count, this.#length);
    for (let at = start; at < end; ) {
      const chunk = this.#chunks[Math.floor(at / chunkWords)];
      const from = at % chunkWords;
      const to = Math.min(chunkWords, from + (end - at));
      if (chunk !== undefined) visit(chunk, from, to);
      at += to - from;
    }
  }
}
