import type { WordList } from "../../bbolt/word-list.ts";

/** Entries that share one table, which then takes 8 to 16 MiB. */
const entriesPerTable = 1 << 20;
/** Words of entries that one step visits: some milliseconds of work. */
const wordsPerStep = 1 << 16;

/**
 * Counts the user keys that exist after all entries of the `key` bucket. The entries are in the bucket's order, which
 * is the order of revisions: a put creates its key, a deletion removes it.
 *
 * `ranges` holds pairs of words (see `addRange`): the index of a first word in `entries` and a number of entries. An
 * entry has two words: the low half of the user key's 64-bit hash, and the high half whose lowest bit marks a
 * deletion. Keys with equal 63 bits count as one key. The odds that this happens to any of n keys are n² / 2^64: 5 in
 * 10^8 for a million keys, 5 in 10^6 for ten million.
 *
 * To bound memory for any n, the hash's range is split into parts. Each part takes one pass over the entries; all
 * parts use one table.
 *
 * Yields after every 32,768 entries of a pass, so that the caller can let other work run. Neither list may change
 * before the end.
 */
export function* countLiveKeys(entries: WordList, ranges: WordList): Generator<void, number> {
  let total = 0;
  for (let i = 1; i < ranges.length; i += 2) total += ranges.get(i);
  const parts = Math.max(1, Math.ceil(total / entriesPerTable));
  const sizes = new Uint32Array(parts);
  if (parts === 1) {
    sizes[0] = total;
  } else {
    yield* visitSpans(entries, ranges, (words, from, to) => {
      for (let at = from; at < to; at += 2) {
        const part = partOf(words[at + 1] ?? 0, parts);
        sizes[part] = (sizes[part] ?? 0) + 1;
      }
    });
  }
  let largest = 0;
  for (const size of sizes) largest = Math.max(largest, size);
  const table = new Uint32Array(2 * 2 ** Math.ceil(Math.log2(largest * 1.25 + 1)));
  let alive = 0;
  for (let part = 0; part < parts; part++) {
    if (part > 0) table.fill(0);
    alive += yield* countPart(entries, ranges, table, part, parts);
  }
  return alive;
}

/** Adds a leaf's entries to `ranges`. Entries that follow the last range extend it. */
export function addRange(ranges: WordList, start: number, count: number): void {
  const last = ranges.length - 2;
  if (last >= 0 && ranges.get(last) + 2 * ranges.get(last + 1) === start) {
    ranges.set(last + 1, ranges.get(last + 1) + count);
    return;
  }
  ranges.push(start);
  ranges.push(count);
}

function partOf(high: number, parts: number): number {
  return Math.floor(((high >>> 1) * parts) / 0x80000000);
}

/** The smallest `high >>> 1` of a part. */
function firstOf(part: number, parts: number): number {
  return Math.ceil((part * 0x80000000) / parts);
}

/** Counts the keys of one part. Each slot of the table holds the newest entry of a key. */
function* countPart(
  entries: WordList,
  ranges: WordList,
  table: Uint32Array,
  part: number,
  parts: number,
): Generator<void, number> {
  const slotMask = table.length / 2 - 1;
  // The part's hashes as a range: one comparison of integers for each entry of the other parts.
  const first = firstOf(part, parts);
  const width = firstOf(part + 1, parts) - first;
  let alive = 0;
  yield* visitSpans(entries, ranges, (words, from, to) => {
    for (let at = from; at < to; at += 2) {
      const high = words[at + 1] ?? 0;
      if (((high >>> 1) - first) >>> 0 >= width) continue;
      // A low half of 0 marks an empty slot.
      const low = words[at] || 1;
      let slot = 2 * (low & slotMask);
      for (; ; slot = (slot + 2) & (2 * slotMask + 1)) {
        const slotLow = table[slot] ?? 0;
        if (slotLow === 0 || (slotLow === low && ((table[slot + 1] ?? 0) ^ high) >>> 1 === 0)) break;
      }
      const wasAlive = table[slot] !== 0 && ((table[slot + 1] ?? 0) & 1) === 0;
      const isAlive = (high & 1) === 0;
      table[slot] = low;
      table[slot + 1] = high;
      if (isAlive !== wasAlive) alive += isAlive ? 1 : -1;
    }
  });
  return alive;
}

/** Visits the memory of all ranges, and yields between steps. */
function* visitSpans(
  entries: WordList,
  ranges: WordList,
  visit: (words: Uint32Array, from: number, to: number) => void,
): Generator<void, void> {
  let visited = 0;
  for (let i = 0; i < ranges.length; i += 2) {
    let at = ranges.get(i);
    const end = at + 2 * ranges.get(i + 1);
    while (at < end) {
      const count = Math.min(wordsPerStep - visited, end - at);
      entries.spans(at, count, visit);
      at += count;
      visited += count;
      if (visited < wordsPerStep) continue;
      visited = 0;
      yield;
    }
  }
}
