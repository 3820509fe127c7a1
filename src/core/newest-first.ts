interface Entry<T> {
  key: string;
  at: number;
  value: T;
}

/**
 * Values with a time, of which the newest is known. A binary heap with the place of each key: `set` and `delete` make
 * O(log n) comparisons, `newest` makes none. Of equal times the one with the greater key counts as newer, so the answer
 * does not depend on the order of insertion.
 */
export class NewestFirst<T> {
  readonly #heap: Entry<T>[] = [];
  readonly #places = new Map<string, number>();
  /** Comparisons of two entries so far. */
  comparisons = 0;

  get size(): number {
    return this.#heap.length;
  }

  newest(): { at: number; value: T } | undefined {
    return this.#heap[0];
  }

  /** Adds the value, or replaces the one with this key. `at`: milliseconds since the epoch. */
  set(key: string, at: number, value: T): void {
    const place = this.#places.get(key) ?? this.#heap.length;
    this.#put(place, { key, at, value });
    this.#restore(place);
  }

  delete(key: string): void {
    const place = this.#places.get(key);
    if (place === undefined) return;
    this.#places.delete(key);
    const last = this.#heap.pop();
    if (last === undefined || place === this.#heap.length) return;
    this.#put(place, last);
    this.#restore(place);
  }

  #put(place: number, entry: Entry<T>): void {
    this.#heap[place] = entry;
    this.#places.set(entry.key, place);
  }

  /** Moves the entry to where it belongs: towards the top, else towards the bottom. */
  #restore(start: number): void {
    let place = start;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!this.#swapIfNewer(place, parent)) break;
      place = parent;
    }
    for (;;) {
      const left = 2 * place + 1;
      const child = this.#isNewer(left + 1, left) ? left + 1 : left;
      if (!this.#swapIfNewer(child, place)) return;
      place = child;
    }
  }

  #swapIfNewer(below: number, above: number): boolean {
    const lower = this.#heap[below];
    const upper = this.#heap[above];
    if (lower === undefined || upper === undefined || !this.#isNewer(below, above)) return false;
    this.#put(above, lower);
    this.#put(below, upper);
    return true;
  }

  #isNewer(place: number, than: number): boolean {
    const a = this.#heap[place];
    const b = this.#heap[than];
    if (a === undefined || b === undefined) return false;
    this.comparisons += 1;
    return a.at === b.at ? a.key > b.key : a.at > b.at;
  }
}
