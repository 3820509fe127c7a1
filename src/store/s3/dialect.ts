import { createHash } from "node:crypto";
import type { StorageClass } from "@aws-sdk/client-s3";
import { crcBase64 } from "../checksum.ts";
import type { S3Options } from "./client.ts";
import type { PutOptions } from "../store.ts";

/** What the bucket supports; learned from its answers and kept while the store is open. */
export interface S3Dialect {
  /** The digest that bytes are sent with: MD5 when the store does not know CRC-32C. */
  digest: "CRC32C" | "MD5";
  ifNoneMatch: boolean;
}

export function digestFields(
  bytes: Uint8Array,
  crc: number,
  digest: S3Dialect["digest"],
): { ChecksumCRC32C: string } | { ContentMD5: string } {
  return digest === "CRC32C"
    ? { ChecksumCRC32C: crcBase64(crc) }
    : { ContentMD5: createHash("md5").update(bytes).digest("base64") };
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
