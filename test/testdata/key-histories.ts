import { crc32c } from "@node-rs/crc32";
import fc from "fast-check";
import { keyValue, type Pair, revisionKey } from "./bolt-writer.ts";

/** One operation on a user key: a put of `size` bytes, or a deletion where `size` is undefined. */
export interface Operation {
  key: string;
  size: number | undefined;
}

/** The pairs that etcd's `key` bucket would hold after these operations, one revision each, starting at 2. */
export function pairsOf(operations: readonly Operation[]): Pair[] {
  return operations.map(({ key, size }, i) => {
    const revision = i + 2;
    return size === undefined
      ? { key: revisionKey(revision, 0, true), value: keyValue({ key }) }
      : {
          key: revisionKey(revision),
          value: keyValue({ key, revision, value: Buffer.alloc(size, `${i}.`), lease: i % 3 }),
        };
  });
}

export function liveKeysOf(operations: readonly Operation[]): number {
  const live = new Set<string>();
  for (const { key, size } of operations) {
    if (size === undefined) live.delete(key);
    else live.add(key);
  }
  return live.size;
}

/** The hash of `snapshot status`: the CRC-32C of bucket names, keys and values in key order. */
export function statusHash(buckets: Record<string, readonly Pair[]>): number {
  const names = Object.keys(buckets).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return crc32c(
    Buffer.concat(
      names.flatMap((name) => [
        Buffer.from(name),
        ...(buckets[name] ?? []).flatMap(({ key, value }) => [key, value]),
      ]),
    ),
  );
}

export const operations = (options: { maxSize: number; maxLength: number }): fc.Arbitrary<Operation[]> =>
  fc.array(
    fc.record({
      key: fc.integer({ min: 0, max: 40 }).map((key) => `/keys/${key}`),
      size: fc.option(fc.integer({ min: 0, max: options.maxSize }), { nil: undefined, freq: 4 }),
    }),
    { maxLength: options.maxLength },
  );

/** Pairs of another bucket, in order. */
export const namedPairs: fc.Arbitrary<Pair[]> = fc
  .uniqueArray(fc.string({ minLength: 1, maxLength: 30 }), { maxLength: 30 })
  .chain((names) =>
    fc.tuple(...names.map((name) => fc.tuple(fc.constant(name), fc.uint8Array({ maxLength: 200 })))),
  )
  .map((pairs) =>
    pairs
      .map(([key, value]) => ({ key: Buffer.from(key), value: Buffer.from(value) }))
      .sort((a, b) => Buffer.compare(a.key, b.key)),
  );
