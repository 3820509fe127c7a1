/** A mutex for each key. Callers acquire it in the order of their calls. */
export class KeyedMutex {
  readonly #last = new Map<string, Promise<void>>();

  isHeld(key: string): boolean {
    return this.#last.has(key);
  }

  /** Resolves to the function that releases the key. Rejects with the signal's reason when it fires before. */
  async acquire(key: string, signal: AbortSignal): Promise<() => void> {
    const previous = this.#last.get(key) ?? Promise.resolve();
    const own = Promise.withResolvers<void>();
    const released = previous.then(() => own.promise);
    this.#last.set(key, released);
    // Not in `release`: a caller that is aborted releases its place while the key still has its holder.
    void released.then(() => this.#last.get(key) === released && this.#last.delete(key));
    const release = () => own.resolve();
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    try {
      await Promise.race([previous, aborted.promise]);
      return release;
    } catch (error) {
      release();
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }
}
