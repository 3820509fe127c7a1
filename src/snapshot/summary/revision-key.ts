/**
 * Keys of etcd's `key` bucket (mvcc/revision.go): main i64 ‖ `_` ‖ sub i64, big-endian, 17 bytes; a deletion adds `t`.
 */
export const revisionSize = 17;
export const tombstoneSize = 18;
const separator = 0x5f;
const tombstoneMark = 0x74;

/** What is wrong with a pair of the `key` bucket; 0 is nothing. The texts by number. */
export const revisionProblems = [
  "",
  "invalid revision length",
  "invalid revision: no '_' between its parts",
  "negative revision",
  "revision above 2^53",
  "invalid revision: marked with something else than 't'",
  "value is no KeyValue",
  "a bucket within the bucket",
] as const;
export const valueProblem = 6;
export const bucketProblem = 7;

/** The number of what is wrong with the revision key at `at`, of `size` bytes. */
export function revisionProblem(view: DataView, at: number, size: number): number {
  if (size !== revisionSize && size !== tombstoneSize) return 1;
  if (view.getUint8(at + 8) !== separator) return 2;
  if (view.getUint8(at) >= 0x80 || view.getUint8(at + 9) >= 0x80) return 3;
  if (view.getUint32(at) >= 0x200000 || view.getUint32(at + 9) >= 0x200000) return 4;
  return size === tombstoneSize && view.getUint8(at + revisionSize) !== tombstoneMark ? 5 : 0;
}

/** The main part of a sound revision key, the number of the transaction that wrote it. */
export function mainPart(bytes: Uint8Array, at: number): number {
  let main = 0;
  for (let i = 0; i < 8; i++) main = main * 256 + (bytes[at + i] ?? 0);
  return main;
}
