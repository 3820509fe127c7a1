import type { ApiObject, Change } from "./objects.fixture.ts";
import { expired } from "./refusal.fixture.ts";

/** How many changes are kept for watches that begin in the past. */
const keptChanges = 1_000;

/** Whether a list or a watch covers the object. */
export type Scope = (object: ApiObject) => boolean;

/** The changes of one kind, in order. */
export class ChangeLog {
  #changes: Change[] = [];
  /** The version of the last change that is no longer kept. */
  #forgotten = 0;
  readonly #watchers = new Set<(change: Change) => void>();

  add(change: Change): void {
    this.#changes.push(change);
    if (this.#changes.length > 2 * keptChanges) {
      this.#forgotten = this.#changes.at(-keptChanges - 1)?.version ?? 0;
      this.#changes = this.#changes.slice(-keptChanges);
    }
    for (const watcher of this.#watchers) watcher(change);
  }

  /** The lines of a watch: what has changed after `version`, then every change, until the signal fires. */
  async *watch(version: number, scope: Scope, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    if (version < this.#forgotten) {
      yield line("ERROR", expired(`too old resource version: ${version} (${this.#forgotten})`).toStatus());
      return;
    }
    const waiting = this.#changes.filter((change) => change.version > version);
    let wake = (): void => {};
    const watcher = (change: Change): void => {
      waiting.push(change);
      wake();
    };
    const onAbort = (): void => wake();
    this.#watchers.add(watcher);
    signal.addEventListener("abort", onAbort);
    try {
      for (;;) {
        signal.throwIfAborted();
        const change = waiting.shift();
        if (change === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        } else yield* lineOf(change, scope);
      }
    } finally {
      this.#watchers.delete(watcher);
      signal.removeEventListener("abort", onAbort);
    }
  }
}

/** To a watch an object that enters its scope is added, and one that leaves it is deleted. */
function* lineOf({ version, before, after }: Change, scope: Scope): Generator<Uint8Array> {
  const was = before !== undefined && scope(before);
  if (after !== undefined && scope(after)) yield line(was ? "MODIFIED" : "ADDED", after);
  else if (was) {
    const metadata = { ...before.metadata, resourceVersion: String(version) };
    yield line("DELETED", { ...before, metadata });
  }
}

function line(type: string, object: object): Uint8Array {
  return Buffer.from(`${JSON.stringify({ type, object })}\n`);
}
