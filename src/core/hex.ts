/** An unsigned 32-bit number, such as a CRC or HashKV, as 8 hex digits. */
export function hex8(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}
