/**
 * Keys in lanes: of each lane only the first key can leave, and a lane that is blocked does not block the others. Adding
 * and deleting cost time by the number of lanes at most, and the heads are read without a look at the keys behind them.
 */
export class Lanes {
  /** Of each lane its keys, with their arrival, in the order of arrival. */
  readonly #lanes = new Map<string, Map<string, number>>();
  readonly #laneOf = new Map<string, string>();
  /** The first key of each lane, in the order of arrival. */
  readonly #heads: { key: string; arrival: number }[] = [];

  /** `arrival`: a number above those of all keys before. */
  add(key: string, lane: string, arrival: number): void {
    const keys = this.#lanes.get(lane) ?? new Map<string, number>();
    if (keys.size === 0) this.#heads.push({ key, arrival });
    this.#lanes.set(lane, keys.set(key, arrival));
    this.#laneOf.set(key, lane);
  }

  delete(key: string): void {
    const lane = this.#laneOf.get(key);
    const keys = lane === undefined ? undefined : this.#lanes.get(lane);
    const arrival = keys?.get(key);
    if (lane === undefined || keys === undefined || arrival === undefined) return;
    this.#laneOf.delete(key);
    const [head] = keys.keys();
    keys.delete(key);
    if (head !== key) return;
    this.#heads.splice(this.#indexOf(arrival), 1);
    const [next] = keys;
    if (next === undefined) this.#lanes.delete(lane);
    else this.#heads.splice(this.#indexOf(next[1]), 0, { key: next[0], arrival: next[1] });
  }

  /** The first key of each lane, in the order of arrival. */
  *heads(): Generator<string, undefined> {
    for (const { key } of this.#heads) yield key;
    return undefined;
  }

  /** The number of heads that arrived before. */
  #indexOf(arrival: number): number {
    let low = 0;
    let high = this.#heads.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#heads[middle]?.arrival ?? Infinity) < arrival) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
