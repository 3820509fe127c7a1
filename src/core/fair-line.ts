/**
 * Milliseconds for which who waits is told the same place, and after which it is told again: the end of one run does not
 * change the statuses of all that wait.
 */
export const placeForMs = 600_000;

/** A group's keys, each with its number in the order of arrival. */
interface Group {
  keys: Map<string, number>;
  arrivals: number;
}

/**
 * Keys that wait, in groups. The keys of one group leave in the order in which they came, and the groups take turns, so
 * a group with many keys does not delay a group with few. Each operation costs time by the number of groups at most.
 */
export class FairLine {
  /** In the order of their turns. A group without keys is not here. */
  readonly #groups = new Map<string, Group>();
  readonly #groupOf: (key: string) => string;
  #size = 0;

  constructor(groupOf: (key: string) => string = () => "") {
    this.#groupOf = groupOf;
  }

  get size(): number {
    return this.#size;
  }

  has(key: string): boolean {
    return this.#groups.get(this.#groupOf(key))?.keys.has(key) === true;
  }

  /** Adds the key at the end of its group. A key that waits keeps its place. */
  add(key: string): void {
    const name = this.#groupOf(key);
    const group = this.#groups.get(name) ?? { keys: new Map(), arrivals: 0 };
    if (group.keys.has(key)) return;
    group.keys.set(key, group.arrivals++);
    this.#groups.set(name, group);
    this.#size += 1;
  }

  /** Removes the key without a turn of its group. False when it does not wait. */
  delete(key: string): boolean {
    const name = this.#groupOf(key);
    const group = this.#groups.get(name);
    if (group?.keys.delete(key) !== true) return false;
    if (group.keys.size === 0) this.#groups.delete(name);
    this.#size -= 1;
    return true;
  }

  /** Removes and returns the first key of the first group in turn that `admits` lets pass. */
  take(admits: (group: string) => boolean = () => true): string | undefined {
    for (const [name, { keys }] of this.#groups) {
      if (!admits(name)) continue;
      const [key] = keys.keys();
      if (key === undefined) continue;
      this.serve(key);
      return key;
    }
    return undefined;
  }

  /** Removes the key as `take` does: its group has had its turn. */
  serve(key: string): void {
    const name = this.#groupOf(key);
    if (!this.delete(key)) return;
    const group = this.#groups.get(name);
    if (group === undefined) return;
    this.#groups.delete(name);
    this.#groups.set(name, group);
  }

  /** The keys that `count` calls of `take` would return. `admits` is told how many of the group came before. */
  first(count: number, admits: (group: string, before: number) => boolean = () => true): string[] {
    const found: string[] = [];
    const turns = [...this.#groups].map(([name, { keys }]) => ({ name, next: keys.keys(), taken: 0 }));
    for (let open = turns; open.length > 0; ) {
      const stillOpen: typeof turns = [];
      for (const turn of open) {
        if (found.length >= count) return found;
        if (!admits(turn.name, turn.taken)) continue;
        const { value, done } = turn.next.next();
        if (done === true) continue;
        found.push(value);
        turn.taken += 1;
        stillOpen.push(turn);
      }
      open = stillOpen;
    }
    return found;
  }

  /**
   * The place of the key, from 1, when each `take` returns the next in turn; the place that it would get when it does
   * not wait. Keys of its group that left out of turn may still be counted.
   */
  placeOf(key: string): number {
    const name = this.#groupOf(key);
    const own = this.#groups.get(name);
    const [firstArrival = 0] = own?.keys.values() ?? [];
    const arrival = own?.keys.get(key);
    const ahead = arrival === undefined ? (own?.keys.size ?? 0) : arrival - firstArrival;
    let place = ahead + 1;
    let isBefore = true;
    for (const [other, { keys }] of this.#groups) {
      if (other === name) isBefore = false;
      else place += Math.min(keys.size, isBefore ? ahead + 1 : ahead);
    }
    return place;
  }
}
