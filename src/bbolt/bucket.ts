import { leafPage, pageHeaderSize, readU64, viewOf } from "./page.ts";

/** The value of a bucket's pair: root page u64, sequence u64, and where the root is 0 the bucket's only page. */
const bucketHeaderSize = 16;

export type Bucket = { root: number; inline?: undefined } | { root: 0; inline: Uint8Array };

/** Undefined when `value` is not a bucket. `inline` is a leaf page, as a view of `value`. */
export function decodeBucket(value: Uint8Array): Bucket | undefined {
  if (value.length < bucketHeaderSize) return undefined;
  const view = viewOf(value);
  const root = readU64(view, 0);
  if (root !== 0) return { root };
  const inline = value.subarray(bucketHeaderSize);
  if (inline.length < pageHeaderSize || view.getUint16(bucketHeaderSize + 8, true) !== leafPage)
    return undefined;
  return { root: 0, inline };
}
