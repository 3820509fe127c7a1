import { createHash } from "node:crypto";

/** Bytes of the SHA-256 digest that etcd appends to a snapshot. */
export const trailerSize = 32;
/** A database is a whole number of pages, so a file of whole sectors and 32 more bytes has a digest. */
const sectorSize = 512;

export type TrailerState = "valid" | "missing" | "wrong";

export interface TrailerCheckResult {
  /** Bytes of the database: all of them when the trailer is missing. */
  dbBytes: number;
  trailer: TrailerState;
  /** SHA-256 of the database's bytes, in hex. */
  sha256: string;
  /** SHA-256 of all bytes, in hex. */
  fileSha256: string;
  /** The bytes that `push` did not return: the end of the database when the trailer is missing, else the trailer. */
  rest: Uint8Array;
}

/** Separates the database from the 32-byte trailer of a snapshot of unknown length, and hashes both. */
export interface TrailerCheck {
  /** Returns the bytes that now certainly precede the trailer, in order, as views of what was pushed. */
  push(chunk: Uint8Array): Uint8Array[];
  finish(): TrailerCheckResult;
}

export function createTrailerCheck(): TrailerCheck {
  const hash = createHash("sha256");
  let held = new Uint8Array(0);
  let released = 0;
  return {
    push(chunk) {
      const free = held.length + chunk.length - trailerSize;
      if (free <= 0) {
        held = concat(held, chunk);
        return [];
      }
      const fromHeld = held.subarray(0, Math.min(free, held.length));
      const fromChunk = chunk.subarray(0, free - fromHeld.length);
      held = concat(held.subarray(fromHeld.length), chunk.subarray(fromChunk.length));
      released += free;
      const parts = [fromHeld, fromChunk].filter((part) => part.length > 0);
      for (const part of parts) hash.update(part);
      return parts;
    },
    finish() {
      const fileSha256 = hash.copy().update(held).digest("hex");
      const total = released + held.length;
      if (total % sectorSize !== trailerSize) {
        return { dbBytes: total, trailer: "missing", sha256: fileSha256, fileSha256, rest: held };
      }
      const digest = hash.digest();
      const trailer = digest.equals(held) ? "valid" : "wrong";
      return { dbBytes: released, trailer, sha256: digest.toString("hex"), fileSha256, rest: held };
    },
  };
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
