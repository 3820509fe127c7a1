/** One holder a key at a time, in the order of asking. */
export class KeyedMutex {
  readonly #last = new Map<string, Promise<void>>();

  /** Resolves to the function that releases the key. Rejects with the signal's reason when it fires before. */
  async acquire(key: string, signal: AbortSignal): Promise<() => void> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const held = Promise.withResolvers<void>();
    const done = before.then(() => held.promise);
    this.#last.set(key, done);
    const release = () => {
      held.resolve();
      if (this.#last.get(key) === done) this.#last.delete(key);
    };
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    try {
      await Promise.race([before, aborted.promise]);
      return release;
    } catch (error) {
      release();
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }
}
