/**
 * CRC-32C of concatenated bytes from the CRCs of the parts (zlib's crc32_combine): crc(A‖B) follows from crc(A),
 * crc(B) and the length of B, since n zero bits appended multiply a CRC by x^n modulo the polynomial. Polynomials are
 * bit-reflected, as in CRC-32C itself.
 */
const polynomial = 0x82f63b78;
/** x^(8n) is cached for lengths n below this: leaves of one page repeat their lengths. */
const cachedLengths = 65536;

function multiply(a: number, b: number): number {
  let product = 0;
  let factor = b;
  for (let bit = 0x80000000; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= factor;
    factor = (factor & 1) !== 0 ? (factor >>> 1) ^ polynomial : factor >>> 1;
  }
  return product >>> 0;
}

/** x^(2^n) for n from 0 to 31. The order of x divides 2^32 - 1, so higher powers repeat. */
const squares = new Uint32Array(32);
for (let n = 0, power = 0x40000000; n < 32; n++, power = multiply(power, power)) squares[n] = power;

/** x^(8 × length). */
function powerOf(length: number): number {
  let power = 0x80000000;
  let rest = length;
  for (let n = 3; rest > 0; n++, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) power = multiply(squares[n & 31] ?? 0, power);
  }
  return power;
}

const cache = new Uint32Array(cachedLengths);

/** crc × x^(8 × length): what `length` appended bytes make of a CRC, apart from their own CRC. */
function shift(crc: number, length: number): number {
  if (length >= cachedLengths) return multiply(powerOf(length), crc);
  let factor = cache[length] ?? 0;
  if (factor === 0) {
    factor = powerOf(length);
    cache[length] = factor;
  }
  return multiply(factor, crc);
}

/** crc(A‖B) from crc(A), crc(B) and the length of B in bytes, below 2^53. */
export function combineCrc32c(crcA: number, crcB: number, lengthB: number): number {
  return (shift(crcA, lengthB) ^ crcB) >>> 0;
}

/** crc(B) from crc(A), crc(A‖B) and the length of B in bytes: combining is an XOR, its own inverse. */
export function remainingCrc32c(crcA: number, crcAB: number, lengthB: number): number {
  return combineCrc32c(crcA, crcAB, lengthB);
}
