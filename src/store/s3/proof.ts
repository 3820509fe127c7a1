import { crc32c } from "@node-rs/crc32";
import { OperatorError } from "../../core/errors.ts";
import { hex8 } from "../../core/hex.ts";
import type { S3Access } from "./client.ts";
import { type S3Dialect, crcUnconfirmed } from "./dialect.ts";
import { headObject, readObject } from "./read.ts";
import type { StoredObject } from "../store.ts";

/**
 * Compares the object in the store with what was sent. Throws VerificationFailed when they differ. When the store does
 * not report the checksum of the whole object, the digests of its parts are the proof. A single part, and an object
 * that was sent without a digest, is read again. Throws InvalidConfiguration when the checksum has to be reported.
 */
export async function confirmStored(
  { access, dialect }: { access: S3Access; dialect: S3Dialect },
  sent: { name: string; size: number; crc: number; inParts: boolean },
  signal: AbortSignal,
): Promise<StoredObject> {
  const { name, size, inParts } = sent;
  const crc = hex8(sent.crc);
  const object = await headObject(access, name, signal);
  if (object === undefined) throw differs(name, "it does not exist");
  if (object.size !== size) throw differs(name, `it has ${object.size} bytes, not ${size}`);
  if (object.crc32c !== undefined) {
    if (object.crc32c !== crc) throw differs(name, `it has CRC-32C ${object.crc32c}, not ${crc}`);
    return { name, size, crc32c: crc, proof: "FullObjectCRC32C" };
  }
  if (dialect.digest === "CRC32C" && dialect.withoutCrc === "Fail")
    throw crcUnconfirmed(`storing ${name}`, "the store does not report the checksum of the whole object");
  if (inParts && dialect.digest !== "None") return { name, size, crc32c: crc, proof: "PartDigests" };
  let read = 0;
  for await (const chunk of readObject(access, name, { signal })) read = crc32c(chunk, read);
  if (hex8(read) !== crc) throw differs(name, `read again, it has CRC-32C ${hex8(read)}, not ${crc}`);
  return { name, size, crc32c: crc, proof: "ReadBack" };
}

export function differs(name: string, how: string): OperatorError {
  return new OperatorError(
    "VerificationFailed",
    `the store holds other bytes than were sent as ${name}: ${how}`,
    { permanent: false },
  );
}
