/** Compares byte strings as Go's bytes.Compare does: negative, zero or positive. */
export function compareKeys(
  a: DataView,
  aAt: number,
  aSize: number,
  b: DataView,
  bAt: number,
  bSize: number,
): number {
  const shared = aSize < bSize ? aSize : bSize;
  let at = 0;
  for (; at + 4 <= shared; at += 4) {
    const difference = a.getUint32(aAt + at) - b.getUint32(bAt + at);
    if (difference !== 0) return difference;
  }
  for (; at < shared; at++) {
    const difference = a.getUint8(aAt + at) - b.getUint8(bAt + at);
    if (difference !== 0) return difference;
  }
  return aSize - bSize;
}

/** A key's bytes, from `from` up to `to`. */
export interface KeySpan {
  bytes: Uint8Array;
  from: number;
  to: number;
}

/** Compares two spans as compareKeys does. */
export function compareSpans(a: KeySpan, b: KeySpan): number {
  const aSize = a.to - a.from;
  const bSize = b.to - b.from;
  const shared = aSize < bSize ? aSize : bSize;
  for (let at = 0; at < shared; at++) {
    const difference = (a.bytes[a.from + at] ?? 0) - (b.bytes[b.from + at] ?? 0);
    if (difference !== 0) return difference;
  }
  return aSize - bSize;
}
