/**
 * CRC-32C arithmetic on checksums alone, without the bytes: the checksum of A‖B follows from crc(A), crc(B) and the
 * length of B, since appending n zero bits multiplies a CRC by x^n modulo the polynomial (zlib's crc32_combine).
 * Polynomials are bit-reflected, as CRC-32C itself is.
 */
const polynomial = 0x82f63b78;
/** Products by x^(8n) for lengths n up to this are remembered: leaves of one page repeat their lengths. */
const rememberedLengths = 65536;

function multiply(a: number, b: number): number {
  let product = 0;
  let factor = b;
  for (let bit = 0x80000000; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= factor;
    factor = (factor & 1) !== 0 ? (factor >>> 1) ^ polynomial : factor >>> 1;
  }
  return product >>> 0;
}

/** x^(2^n) for n from 0 to 31; the order of x divides 2^32 - 1, so that higher powers repeat. */
const squares = new Uint32Array(32);
for (let n = 0, power = 0x40000000; n < 32; n++, power = multiply(power, power)) squares[n] = power;

/** x^(8 × length). */
function shiftOf(length: number): number {
  let power = 0x80000000;
  let rest = length;
  for (let n = 3; rest > 0; n++, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) power = multiply(squares[n & 31] ?? 0, power);
  }
  return power;
}

const remembered = new Uint32Array(rememberedLengths);

/** The checksum of A followed by `length` zero bits' worth of bytes that count as nothing: crc(A) × x^(8 × length). */
function shift(crc: number, length: number): number {
  if (length >= rememberedLengths) return multiply(shiftOf(length), crc);
  let factor = remembered[length] ?? 0;
  if (factor === 0) {
    factor = shiftOf(length);
    remembered[length] = factor;
  }
  return multiply(factor, crc);
}

/** crc(A‖B) from crc(A), crc(B) and the length of B in bytes, up to 2^53. */
export function combineCrc32c(crcA: number, crcB: number, lengthB: number): number {
  return (shift(crcA, lengthB) ^ crcB) >>> 0;
}

/** crc(B) from crc(A), crc(A‖B) and the length of B in bytes: combining is its own inverse in the second place. */
export function remainingCrc32c(crcA: number, crcAB: number, lengthB: number): number {
  return combineCrc32c(crcA, crcAB, lengthB);
}
