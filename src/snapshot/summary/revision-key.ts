/** Bytes of a key in etcd's `key` bucket (mvcc/revision.go): main i64 ‖ `_` ‖ sub i64, big-endian. A deletion adds `t`. */
const revisionSize = 17;
export const tombstoneSize = 18;
const separator = 0x5f;
const tombstoneMark = 0x74;

/** What can be wrong with a pair of the `key` bucket, by number; number 0 means that nothing is. */
export const revisionProblems = [
  "",
  "invalid revision length",
  "invalid revision: no '_' between its parts",
  "negative revision",
  "revision above 2^53",
  "invalid revision: its last byte is not 't'",
  "value is not a KeyValue",
  "it is a bucket",
] as const;
export const valueProblem = 6;
export const bucketProblem = 7;

/** Checks the revision key of `size` bytes at `at`. Returns an index of revisionProblems. */
export function revisionProblem(view: DataView, at: number, size: number): number {
  if (size !== revisionSize && size !== tombstoneSize) return 1;
  if (view.getUint8(at + 8) !== separator) return 2;
  if (view.getUint8(at) >= 0x80 || view.getUint8(at + 9) >= 0x80) return 3;
  if (view.getUint32(at) >= 0x200000 || view.getUint32(at + 9) >= 0x200000) return 4;
  return size === tombstoneSize && view.getUint8(at + revisionSize) !== tombstoneMark ? 5 : 0;
}

/** The main part of a valid revision key: the revision of the transaction that wrote it. */
export function mainPart(bytes: Uint8Array, at: number): number {
  let main = 0;
  for (let i = 0; i < 8; i++) main = main * 256 + (bytes[at + i] ?? 0);
  return main;
}
