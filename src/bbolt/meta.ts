import { isPageSize, maxPageSize, metaPage, minPageSize, pageHeaderSize, readU64, viewOf } from "./page.ts";

/** Bytes of the page header and the meta body (internal/common/meta.go). */
const metaSize = pageHeaderSize + 64;
const magic = 0xed0cdaed;
const version = 2;
const noFreelist = 0xffffffffffffffffn;

export interface Meta {
  pageSize: number;
  root: number;
  /** Page of the stored free list; undefined when the file keeps none, as etcd's do. */
  freelist: number | undefined;
  /** One more than the highest page id that the database has ever used. */
  highWater: number;
  txid: bigint;
}

export type DecodedMeta = { meta: Meta; invalid?: undefined } | { meta?: undefined; invalid: string };

/** Decodes the meta page at `at`. `invalid` says why bbolt would not accept it. */
export function decodeMeta(bytes: Uint8Array, at: number): DecodedMeta {
  if (bytes.length < at + metaSize) return { invalid: "the file ends before it" };
  const view = viewOf(bytes);
  const body = at + pageHeaderSize;
  const magicRead = view.getUint32(body, true);
  if (magicRead === swap(magic)) {
    return { invalid: "it was written by a big-endian machine, and only little-endian files are read" };
  }
  if (magicRead !== magic)
    return { invalid: `its magic number is 0x${magicRead.toString(16)}, not 0x${magic.toString(16)}` };
  const versionRead = view.getUint32(body + 4, true);
  if (versionRead !== version) return { invalid: `its format version is ${versionRead}, not ${version}` };
  if (view.getBigUint64(body + 56, true) !== fnv1a64(bytes, body, body + 56)) {
    return { invalid: "its checksum is wrong" };
  }
  const pageSize = view.getUint32(body + 8, true);
  if (!isPageSize(pageSize)) {
    return {
      invalid: `its page size ${pageSize} is not a power of two from ${minPageSize} to ${maxPageSize}`,
    };
  }
  const freelist = view.getBigUint64(body + 32, true);
  return {
    meta: {
      pageSize,
      root: readU64(view, body + 16),
      freelist: freelist === noFreelist ? undefined : Number(freelist),
      highWater: readU64(view, body + 40),
      txid: view.getBigUint64(body + 48, true),
    },
  };
}

/** What is wrong with the header of meta page `page`. bbolt itself does not check it. */
export function metaHeaderProblem(bytes: Uint8Array, at: number, page: number): string | undefined {
  const view = viewOf(bytes);
  const id = readU64(view, at);
  if (id !== page) return `meta page's header has the id ${id}`;
  const flags = view.getUint16(at + 8, true);
  return flags === metaPage ? undefined : `meta page's header has the type 0x${flags.toString(16)}`;
}

/**
 * The page size of a file from its first bytes: that of the first meta page if it is valid, else that of a valid
 * second one. Undefined when neither is valid. `bytes` holds the first two pages at the largest page size, or the file.
 */
export function findPageSize(bytes: Uint8Array): number | undefined {
  const first = decodeMeta(bytes, 0);
  if (first.meta !== undefined) return first.meta.pageSize;
  for (let at = minPageSize; at <= maxPageSize && at + metaSize <= bytes.length; at *= 2) {
    if (decodeMeta(bytes, at).meta?.pageSize === at) return at;
  }
  return undefined;
}

function fnv1a64(bytes: Uint8Array, from: number, to: number): bigint {
  let hash = 0xcbf29ce484222325n;
  for (let at = from; at < to; at++)
    hash = BigInt.asUintN(64, (hash ^ BigInt(bytes[at] ?? 0)) * 0x100000001b3n);
  return hash;
}

function swap(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}
