import { createHash } from "node:crypto";
import type { StorageClass } from "@aws-sdk/client-s3";
import { crcBase64 } from "../checksum.ts";
import { OperatorError, messageOf } from "../../core/errors.ts";
import type { S3Options } from "./client.ts";
import { isNotImplemented } from "./errors.ts";
import type { S3Checksum } from "./settings.ts";
import type { PutOptions } from "../store.ts";

/** What the bucket supports; learned from its answers and kept while the store is open. */
export interface S3Dialect {
  /** The digest that bytes are sent with. With `checksum: Auto` MD5 when the store does not know CRC-32C. */
  digest: "CRC32C" | "MD5" | "None";
  /** What to do where the store refuses or ignores CRC-32C. */
  readonly withoutCrc: "UseMD5" | "Fail";
  ifNoneMatch: boolean;
  /** Whether the bucket keeps versions; absent: not asked yet. */
  versioned?: boolean;
}

export function dialectOf({ checksum = "Auto" }: Pick<S3Options, "checksum">): S3Dialect {
  return {
    digest: checksum === "Auto" ? "CRC32C" : checksum,
    withoutCrc: checksum === "Auto" ? "UseMD5" : "Fail",
    ifNoneMatch: true,
  };
}

export function digestFields(
  bytes: Uint8Array,
  crc: number,
  digest: S3Dialect["digest"],
): { ChecksumCRC32C?: string; ContentMD5?: string } {
  switch (digest) {
    case "CRC32C":
      return { ChecksumCRC32C: crcBase64(crc) };
    case "MD5":
      return { ContentMD5: createHash("md5").update(bytes).digest("base64") };
    case "None":
      return {};
    default:
      return digest satisfies never;
  }
}

/** The store refused a request for good, perhaps for its checksum. */
export function isUnknownParameter(error: unknown): boolean {
  if (isNotImplemented(error)) return true;
  return error instanceof OperatorError && error.code === "StoreFailed" && error.permanent;
}

/** Whether another checksum may help against the failure of a put. */
export function mayBeOfChecksum(error: unknown): boolean {
  if (isUnknownParameter(error)) return true;
  return (
    error instanceof OperatorError && ["InvalidConfiguration", "VerificationFailed"].includes(error.code)
  );
}

/** Names the setting in a resource and in a URL, for hints. */
const setting = "spec.s3.checksum of the EtcdBackupStore, checksum= in a store's URL";

/** The error of a probe that failed, after a trial with another setting succeeded. */
export function checksumFails(configured: S3Checksum, working: S3Checksum, cause: unknown): OperatorError {
  const message = messageOf(cause);
  const known = message.includes(`checksum ${configured} does not work`);
  return new OperatorError(
    "InvalidConfiguration",
    known ? message : `checksum ${configured} does not work: ${message}`,
    { hint: `set the checksum to ${working}, with which a trial write succeeded (${setting})`, cause },
  );
}

/** The error of `checksum: CRC32C` for a store that does not confirm it. */
export function crcUnconfirmed(doing: string, how: string): OperatorError {
  return new OperatorError("InvalidConfiguration", `${doing}: checksum CRC32C does not work: ${how}`, {
    hint: `set the checksum to Auto, or to MD5 or None (${setting})`,
  });
}

/** The error to report when a request with CRC-32C was refused under `checksum: CRC32C`: else `error` as it is. */
export function refusedCrc(error: unknown, doing: string): unknown {
  const isOfChecksum = isNotImplemented(error) || /checksum|crc/i.test(messageOf(error));
  return isUnknownParameter(error) && isOfChecksum ? crcUnconfirmed(doing, messageOf(error)) : error;
}

/** Content type, storage class and encryption of a new object. */
export function attributeFields(options: S3Options, { contentType, storageClass }: PutOptions) {
  const { serverSideEncryption, storageClass: configured } = options;
  return {
    ...(contentType === undefined ? {} : { ContentType: contentType }),
    ...(configured === undefined || storageClass === "Default"
      ? {}
      : { StorageClass: configured as StorageClass }),
    ...encryptionFields(serverSideEncryption),
  };
}

function encryptionFields(encryption: S3Options["serverSideEncryption"]) {
  switch (encryption?.mode) {
    case undefined:
      return {};
    case "AES256":
      return { ServerSideEncryption: "AES256" as const };
    case "KMS":
      return {
        ServerSideEncryption: "aws:kms" as const,
        ...(encryption?.kmsKeyID === undefined ? {} : { SSEKMSKeyId: encryption.kmsKeyID }),
      };
    default:
      throw new Error(`unknown encryption: ${encryption?.mode satisfies undefined}`);
  }
}
