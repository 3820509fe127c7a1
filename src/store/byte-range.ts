import { OperatorError } from "../core/errors.ts";
import type { ByteRange } from "./store.ts";

/** The range in an object of `size` bytes, up to but not including `end`. Throws VerificationFailed when it is longer. */
export function boundsOf(
  range: ByteRange | undefined,
  size: number,
  doing: string,
): { offset: number; end: number } {
  const { offset, length } = range ?? { offset: 0 };
  const end = length === undefined ? size : offset + length;
  if (offset <= size && end <= size) return { offset, end };
  throw outOfRange(range, size, doing);
}

/** The object has `size` bytes, fewer than the range needs. */
export function outOfRange(range: ByteRange | undefined, size: number, doing: string): OperatorError {
  const { offset, length } = range ?? { offset: 0 };
  const wanted = length === undefined ? `from byte ${offset}` : `${length} bytes from byte ${offset}`;
  return new OperatorError("VerificationFailed", `${doing}, ${wanted}: the object has only ${size} bytes`, {
    permanent: false,
    hint: "read it again; if that fails as well, the object is damaged",
  });
}
