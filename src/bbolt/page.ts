/**
 * Bytes of bbolt's page header (internal/common/page.go), little-endian: id u64, flags u16, count u16, overflow u32.
 * Page n lies at n × page size. `overflow` more pages follow it and have no header of their own.
 */
export const pageHeaderSize = 16;
/** Bytes of one row of the table of a branch or a leaf. */
export const elementSize = 16;

export const branchPage = 0x01;
export const leafPage = 0x02;
export const metaPage = 0x04;
export const freelistPage = 0x10;

export const minPageSize = 1024;
export const maxPageSize = 65536;
/** bbolt's MaxKeySize, in bytes. */
export const maxKeySize = 32768;

/** Reads a u64 as a number. It is exact up to 2^53, which no page id of a readable file reaches. */
export function readU64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 4294967296;
}

export function isPageSize(size: number): boolean {
  return size >= minPageSize && size <= maxPageSize && (size & (size - 1)) === 0;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
