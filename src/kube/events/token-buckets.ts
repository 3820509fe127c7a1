/** One token bucket a key. Full buckets are dropped, so only recently used keys take memory. */
export class TokenBuckets {
  readonly #burst: number;
  readonly #refillMs: number;
  /** When each bucket will be full again. */
  readonly #fullAt = new Map<string, number>();
  /** The number of buckets at which full ones are dropped: twice what was left, so a drop costs O(1) a bucket. */
  #pruneAt = 1_000;

  /** A bucket holds `burst` tokens and gains one every `refillMs`. */
  constructor({ burst, refillMs }: { burst: number; refillMs: number }) {
    this.#burst = burst;
    this.#refillMs = refillMs;
  }

  /** Takes a token and returns 0; without a token returns the milliseconds until the next one. */
  take(key: string, now: number): number {
    if (this.#fullAt.size > this.#pruneAt) this.#prune(now);
    const fullAt = Math.max(this.#fullAt.get(key) ?? now, now) + this.#refillMs;
    const waitMs = fullAt - now - this.#burst * this.#refillMs;
    if (waitMs > 0) return waitMs;
    this.#fullAt.set(key, fullAt);
    return 0;
  }

  #prune(now: number): void {
    for (const [key, fullAt] of this.#fullAt) if (fullAt <= now) this.#fullAt.delete(key);
    this.#pruneAt = Math.max(1_000, 2 * this.#fullAt.size);
  }
}
