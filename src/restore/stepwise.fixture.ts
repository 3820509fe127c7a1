import { AsyncLocalStorage } from "node:async_hooks";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

/** The calls that other processes can see or that see what others do. Each is one step. */
const steps = ["link", "lstat", "mkdir", "readdir", "rename", "rm", "rmdir"] as const;

/** Work over the real file system that stops before each step. */
export class Stepwise {
  static readonly #current = new AsyncLocalStorage<Stepwise>();
  readonly #waiting: (() => Promise<void>)[] = [];
  #changed = Promise.withResolvers<void>();
  #ended = false;
  /** The result of the work, or its error. */
  outcome: PromiseSettledResult<unknown> | undefined;

  constructor(work: () => Promise<unknown>) {
    void Stepwise.#current.run(this, async () => {
      [this.outcome] = await Promise.allSettled([work()]);
      this.#ended = true;
      this.#changed.resolve();
    });
  }

  /** Makes up to `count` steps, and returns how many there were before the work ended. */
  async advance(count = Infinity): Promise<number> {
    for (let made = 0; ; made++) {
      while (!this.#ended && this.#waiting.length === 0) {
        await this.#changed.promise;
        this.#changed = Promise.withResolvers();
      }
      const next = made < count ? this.#waiting.shift() : undefined;
      if (next === undefined) return made;
      await next();
    }
  }

  /** Makes calls of this process below `root` stop before each step, where they belong to a `Stepwise`. No file is synced. */
  static install(root: string): void {
    const patched = promises as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
    for (const name of steps) {
      const original = patched[name];
      if (original === undefined) continue;
      patched[name] = (...args) => {
        const actor = Stepwise.#current.getStore();
        return actor === undefined || !String(args[0]).startsWith(root)
          ? original(...args)
          : actor.#step(() => original(...args));
      };
    }
    const { open } = promises;
    promises.open = async (...args) => Object.assign(await open(...args), { sync: async () => {} });
    syncBuiltinESMExports();
  }

  #step(act: () => Promise<unknown>): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting.push(() => act().then(resolve, reject));
    this.#changed.resolve();
    return promise;
  }
}
