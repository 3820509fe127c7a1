/** A deterministic random source: equal seeds give equal values on every machine. */
export interface Random {
  /** An integer from 0 to `limit` - 1. */
  below(limit: number): number;
  /** True with probability 1 / `odds`. */
  oneIn(odds: number): boolean;
  /** One of `items`. Throws if there are none. */
  pick<T>(items: readonly T[]): T;
  bytes(count: number): Buffer;
}

/** Mulberry32. The seed is mixed, so that neighboring seeds give unrelated values. */
export function createRandom(seed: number): Random {
  let state = Math.imul(seed ^ (seed >>> 16) ^ Math.floor(seed / 2 ** 32), 0x45d9f3b) | 0;
  function next(): number {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return (word ^ (word >>> 14)) >>> 0;
  }
  const below = (limit: number): number => Math.floor((next() / 2 ** 32) * limit);
  return {
    below,
    oneIn: (odds) => below(odds) === 0,
    pick(items) {
      const item = items[below(items.length)];
      if (item === undefined) throw new Error("nothing to pick from");
      return item;
    },
    bytes: (count) => Buffer.from(Array.from({ length: count }, () => below(256))),
  };
}
