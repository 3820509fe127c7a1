import { compareKeys, type KeySpan } from "./key-order.ts";
import { elementSize, maxKeySize, maxPageSize, pageHeaderSize, readU64, viewOf } from "./page.ts";
import { fillsPages } from "./leaf.ts";

/**
 * The longest branch that the scan holds, in bytes. bbolt splits a branch of more than four keys at the page size, so
 * a longer one has at most four keys of at most 32 KiB.
 */
export const maxBranchSize = 4 * (maxKeySize + elementSize) + 2 * maxPageSize;

export interface Branch {
  keys: KeySpan[];
  children: number[];
  problem?: undefined;
}

/**
 * Reads a branch from the bytes of all its pages. A row of its table: pos u32 (counted from the row), key size u32,
 * child page u64. The keys follow the table without gaps. The keys returned are spans of `bytes`.
 */
export function readBranch(
  bytes: Uint8Array,
  overflow: number,
  pageSize: number,
): Branch | { problem: string } {
  const view = viewOf(bytes);
  const count = view.getUint16(10, true);
  const start = pageHeaderSize + elementSize * count;
  if (count === 0) return { problem: "branch page has no children" };
  if (start > bytes.length) return { problem: rowProblem };
  const keys: KeySpan[] = [];
  const children: number[] = [];
  let next = start;
  let lastAt = 0;
  for (let row = pageHeaderSize; row < start; row += elementSize) {
    const keySize = view.getUint32(row + 4, true);
    const keyAt = next;
    next = keyAt + keySize;
    if (row + view.getUint32(row, true) !== keyAt || next > bytes.length || keySize > maxKeySize) {
      return { problem: rowProblem };
    }
    if (lastAt !== 0 && compareKeys(view, lastAt, keyAt - lastAt, view, keyAt, keySize) >= 0) {
      return { problem: "keys of the branch page are not in strictly ascending order" };
    }
    lastAt = keyAt;
    keys.push({ bytes, from: keyAt, to: next });
    children.push(readU64(view, row + 8));
  }
  if (!fillsPages(next, overflow, pageSize))
    return { problem: "branch page's keys do not fill the pages it claims" };
  return { keys, children };
}

const rowProblem = "branch page's table of children is damaged";
