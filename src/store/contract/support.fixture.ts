import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { type ErrorCode, OperatorError } from "../../core/errors.ts";
import type { Store } from "../store.ts";

/** A store under test, and a view behind it. */
export interface StoreUnderTest extends AsyncDisposable {
  /** Empty at first. A store that cuts objects into parts makes them `partSize` bytes long. */
  store: Store;
  partSize: number;
  /** The same place, opened again. */
  reopen(): Promise<Store>;
  /** Leaves what a put leaves behind that is killed. */
  leaveUnfinished(name: string): Promise<void>;
  /** Names of what unfinished puts have left behind. */
  unfinished(): Promise<string[]>;
}

/** Gives the store under test, which is opened before the tests of the suite begin. */
export type Opened = () => StoreUnderTest;

export const signal = AbortSignal.timeout(600_000);

export async function readAll(store: Store, name: string): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(store.get(name, { signal })));
}

export async function names(store: Store, prefix: string): Promise<string[]> {
  return (await Array.fromAsync(store.list(prefix, { signal }))).map((object) => object.name);
}

/** Asserts that neither list, head nor get knows the object. */
export async function assertAbsent(store: Store, prefix: string, name: string): Promise<void> {
  assert.equal((await names(store, prefix)).includes(name), false);
  assert.equal(await store.head(name, { signal }), undefined);
  await assertRejects("NotFound", readAll(store, name));
}

/** Not deepEqual, which would print the difference of two large buffers. */
export function assertSameBytes(actual: Buffer, expected: Buffer | undefined): void {
  assert.ok(
    expected !== undefined && actual.equals(expected),
    `${actual.length} bytes, not those that were put`,
  );
}

export function codeOf(error: unknown): ErrorCode | undefined {
  return error instanceof OperatorError ? error.code : undefined;
}

export async function assertRejects(code: ErrorCode, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.equal(codeOf(error), code, String(error));
    return true;
  });
}

export function* cut(bytes: Buffer, size: number): Generator<Buffer> {
  for (let offset = 0; offset < bytes.length; offset += size) yield bytes.subarray(offset, offset + size);
}

/** A source that yields `length` bytes, then throws. */
export async function* breaking(length: number, thrown: Error): AsyncGenerator<Buffer> {
  yield* cut(Buffer.alloc(length), 500_000);
  await setImmediate();
  throw thrown;
}

/** A source that yields `length` bytes and then neither a chunk nor an end. `reached` resolves at that point. */
export function stalling(length: number): { chunks: AsyncIterable<Buffer>; reached: Promise<void> } {
  const reached = Promise.withResolvers<void>();
  async function* chunks(): AsyncGenerator<Buffer> {
    yield* cut(Buffer.alloc(length), 500_000);
    reached.resolve();
    await new Promise(() => {});
  }
  return { chunks: chunks(), reached: reached.promise };
}

/** A barrier: resolves for every caller when `count` callers wait. */
export function barrier(count: number): () => Promise<void> {
  const complete = Promise.withResolvers<void>();
  let waiting = 0;
  return () => {
    waiting += 1;
    if (waiting === count) complete.resolve();
    return complete.promise;
  };
}

/** A source that yields the bytes and ends when the barrier opens. */
export async function* endingAt(opened: () => Promise<void>, bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
  await opened();
}

/** Runs `work` on all items, `width` at a time. */
export async function eachOf<T>(
  items: T[],
  width: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
