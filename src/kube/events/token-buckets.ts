/** A token bucket a key. Full buckets are forgotten, so the memory is that of the keys seen lately. */
export class TokenBuckets {
  readonly #burst: number;
  readonly #refillMs: number;
  /** When the bucket will be full again. */
  readonly #fullAt = new Map<string, number>();

  /** `burst` tokens, one more each `refillMs`. */
  constructor({ burst, refillMs }: { burst: number; refillMs: number }) {
    this.#burst = burst;
    this.#refillMs = refillMs;
  }

  /** Takes a token: 0. Without one, takes nothing: the milliseconds until there will be one. */
  take(key: string, now: number): number {
    if (this.#fullAt.size > 1_000) this.#prune(now);
    const fullAt = Math.max(this.#fullAt.get(key) ?? now, now) + this.#refillMs;
    const early = fullAt - now - this.#burst * this.#refillMs;
    if (early > 0) return early;
    this.#fullAt.set(key, fullAt);
    return 0;
  }

  #prune(now: number): void {
    for (const [key, fullAt] of this.#fullAt) if (fullAt <= now) this.#fullAt.delete(key);
  }
}
