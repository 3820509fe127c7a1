/** Lets one holder a key pass at a time, in the order of asking. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  /** Resolves to the function that ends the turn. Rejects with the signal's reason when it fires while waiting. */
  async take(key: string, signal: AbortSignal): Promise<() => void> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const turn = Promise.withResolvers<void>();
    const mine = before.then(() => turn.promise);
    this.#last.set(key, mine);
    const end = () => {
      turn.resolve();
      if (this.#last.get(key) === mine) this.#last.delete(key);
    };
    const stopped = Promise.withResolvers<never>();
    const stop = () => stopped.reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    try {
      await Promise.race([before, stopped.promise]);
      return end;
    } catch (error) {
      end();
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }
}
