import { Lanes } from "./lanes.ts";

/**
 * Milliseconds for which who waits is told the same place, and after which it is told again: the end of one run does not
 * change the statuses of all that wait.
 */
export const placeForMs = 600_000;

/** A group's keys, each with its number in the order of arrival. */
interface Group {
  keys: Map<string, number>;
  arrivals: number;
  /** Absent in a line without lanes. */
  lanes: Lanes | undefined;
}

/**
 * Keys that wait, in groups. The keys of one group leave in the order in which they came, and the groups take turns, so
 * a group with many keys does not delay a group with few. Each operation costs time by the number of groups at most.
 */
export class FairLine {
  /** In the order of their turns. A group without keys is not here. */
  readonly #groups = new Map<string, Group>();
  readonly #groupOf: (key: string) => string;
  readonly #laneOf: ((key: string) => string | undefined) | undefined;
  #size = 0;

  /** `laneOf`: the lane in which a key is added. One without a lane has its own. */
  constructor(groupOf: (key: string) => string = () => "", laneOf?: (key: string) => string | undefined) {
    this.#groupOf = groupOf;
    this.#laneOf = laneOf;
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
    const laneOf = this.#laneOf;
    const lanes = laneOf === undefined ? undefined : new Lanes();
    const group = this.#groups.get(name) ?? { keys: new Map(), arrivals: 0, lanes };
    if (group.keys.has(key)) return;
    const lane = laneOf?.(key);
    group.lanes?.add(key, lane === undefined ? `key ${key}` : `lane ${lane}`, group.arrivals);
    group.keys.set(key, group.arrivals++);
    this.#groups.set(name, group);
    this.#size += 1;
  }

  /** Removes the key without a turn of its group. False when it does not wait. */
  delete(key: string): boolean {
    const name = this.#groupOf(key);
    const group = this.#groups.get(name);
    if (group?.keys.delete(key) !== true) return false;
    group.lanes?.delete(key);
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

  /**
   * The next `count` keys. `admits` is told how many of the group came before. Without lanes they are those that `take`
   * would return. With lanes at most one of each lane and group is among them, and none of a lane whose first key
   * `passes` refuses: such a lane keeps its place, delays no other and costs time, whatever number of keys it has.
   */
  first(
    count: number,
    admits: (group: string, before: number) => boolean = () => true,
    passes: (key: string) => boolean = () => true,
  ): string[] {
    const found: string[] = [];
    const turns = [...this.#groups].map(([name, { keys, lanes }]) => ({
      name,
      next: lanes?.heads() ?? keys.keys(),
      taken: 0,
    }));
    for (let open = turns; open.length > 0; ) {
      const stillOpen: typeof turns = [];
      for (const turn of open) {
        if (found.length >= count) return found;
        if (!admits(turn.name, turn.taken)) continue;
        const key = nextOf(turn.next, passes);
        if (key === undefined) continue;
        found.push(key);
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

/** Not `Iterator.find`, which would end the iterator. */
function nextOf(keys: Iterator<string, undefined>, passes: (key: string) => boolean): string | undefined {
  for (;;) {
    const { value } = keys.next();
    if (value === undefined || passes(value)) return value;
  }
}
