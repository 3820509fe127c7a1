import type { WordList } from "../bbolt/word-list.ts";

/** Entries that share one table: 8 MiB of it, which a processor's cache more or less holds. */
const entriesPerTable = 1 << 19;

/**
 * How many user keys are alive after all entries of the `key` bucket, given in the bucket's order, which is the order
 * of revisions: a put makes its key alive, a deletion ends it.
 *
 * `ranges` names the entries: for each leaf the index of its first word and its number of entries. Two words an entry: the low half of the user key's 64-bit hash, and the high half whose lowest bit says "deletion".
 * Keys are told apart by the 63 bits alone: two of n keys are taken for one with odds of n² / 2^64, which is 5 in 10^8
 * for a million keys. To stay small whatever n is, the keys are counted by parts of the hash's range, each with a table
 * of 8 to 16 bytes an entry and one more pass over the entries.
 */
export function countLiveKeys(entries: WordList, ranges: WordList): number {
  let total = 0;
  for (let i = 1; i < ranges.length; i += 2) total += ranges.get(i);
  const parts = Math.max(1, 2 ** Math.ceil(Math.log2(total / entriesPerTable)));
  if (parts === 1) return countPart(entries, ranges, 0, 0, total);
  const mask = parts - 1;
  const sizes = new Uint32Array(parts);
  forEachSpan(entries, ranges, (words, from, to) => {
    for (let at = from; at < to; at += 2) {
      const part = ((words[at + 1] ?? 0) >>> 1) & mask;
      sizes[part] = (sizes[part] ?? 0) + 1;
    }
  });
  let alive = 0;
  sizes.forEach((size, part) => {
    alive += countPart(entries, ranges, mask, part, size);
  });
  return alive;
}

function countPart(entries: WordList, ranges: WordList, mask: number, part: number, size: number): number {
  if (size === 0) return 0;
  const slots = 2 ** Math.ceil(Math.log2(size * 1.4 + 1));
  const table = new Uint32Array(2 * slots);
  const slotMask = slots - 1;
  let alive = 0;
  forEachSpan(entries, ranges, (words, from, to) => {
    for (let at = from; at < to; at += 2) {
      const high = words[at + 1] ?? 0;
      if (((high >>> 1) & mask) !== part) continue;
      // A low half of 0 says "empty slot".
      const low = words[at] || 1;
      let slot = low & slotMask;
      while (
        table[2 * slot] !== 0 &&
        (table[2 * slot] !== low || ((table[2 * slot + 1] ?? 0) ^ high) >>> 1 !== 0)
      ) {
        slot = (slot + 1) & slotMask;
      }
      const wasAlive = table[2 * slot] !== 0 && ((table[2 * slot + 1] ?? 0) & 1) === 0;
      const isAlive = (high & 1) === 0;
      table[2 * slot] = low;
      table[2 * slot + 1] = high;
      if (isAlive !== wasAlive) alive += isAlive ? 1 : -1;
    }
  });
  return alive;
}

function forEachSpan(
  entries: WordList,
  ranges: WordList,
  visit: (words: Uint32Array, from: number, to: number) => void,
): void {
  for (let i = 0; i < ranges.length; i += 2) entries.spans(ranges.get(i), 2 * ranges.get(i + 1), visit);
}
