import {
  type CompletedPart,
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { crc32c } from "@node-rs/crc32";
import { OperatorError } from "../../core/errors.ts";
import { crcBase64 } from "../checksum.ts";
import type { Part } from "../parts/gather.ts";
import { lingering } from "../interruptible.ts";
import type { S3Access } from "./client.ts";
import { type S3Commit, graceMs } from "./commit.ts";
import { type S3Dialect, attributeFields, digestFields } from "./dialect.ts";
import { isNotImplemented } from "./errors.ts";
import { differs } from "./proof.ts";
import type { PutOptions } from "../store.ts";

/** The multipart upload of one object. */
export interface S3Multipart {
  begin(): Promise<void>;
  /** In any order, several at once. */
  part(part: Part): Promise<void>;
  complete(sent: { size: number; crc: number }): Promise<void>;
  /** Does nothing before `begin`. */
  abort(during: AbortSignal): Promise<void>;
}

export function createMultipart(
  access: S3Access,
  dialect: S3Dialect,
  options: PutOptions & { name: string; commit: S3Commit },
): S3Multipart {
  const { client } = access;
  const { name, commit, signal } = options;
  const target = { Bucket: access.options.bucket, Key: access.key(name) };
  const completed: CompletedPart[] = [];
  let uploadId: string | undefined;
  let digest = dialect.digest;

  async function create(checksum: {
    ChecksumAlgorithm?: "CRC32C";
    ChecksumType?: "FULL_OBJECT";
  }): Promise<string> {
    using late = lingering(signal, graceMs);
    const command = new CreateMultipartUploadCommand({
      ...target,
      ...attributeFields(access.options, options),
      ...checksum,
      Metadata: commit.metadata,
    });
    const doing = `starting the upload of ${name}`;
    const { UploadId } = await access.call(doing, (o) => client.send(command, o), {
      signal,
      requestSignal: late.signal,
    });
    if (UploadId === undefined)
      throw new OperatorError("StoreFailed", `${doing}: the store gave no upload ID`);
    return UploadId;
  }

  function useMD5(): void {
    digest = "MD5";
    dialect.digest = "MD5";
  }

  /** One that is cut off may still be stored, after the upload was aborted, and then stay for ever. */
  async function upload({ number, bytes }: Part, crc: number) {
    using late = lingering(signal, graceMs);
    const command = new UploadPartCommand({
      ...target,
      UploadId: uploadId,
      PartNumber: number,
      Body: bytes,
      ...digestFields(bytes, crc, digest),
    });
    return await access.call(`storing part ${number} of ${name}`, (o) => client.send(command, o), {
      signal,
      requestSignal: late.signal,
    });
  }

  return {
    async begin() {
      digest = dialect.digest;
      if (digest === "CRC32C") {
        try {
          uploadId = await create({ ChecksumAlgorithm: "CRC32C", ChecksumType: "FULL_OBJECT" });
        } catch (error) {
          if (!isUnknownParameter(error)) throw error;
          useMD5();
        }
      }
      uploadId ??= await create({});
    },

    async part(part) {
      const crc = crc32c(part.bytes);
      const sentAs = digest;
      let answer = await upload(part, crc);
      if (sentAs === "CRC32C" && answer.ChecksumCRC32C === undefined) {
        // The store passed over the checksum. Every S3 store checks Content-MD5.
        useMD5();
        answer = await upload(part, crc);
      }
      const { ETag, ChecksumCRC32C: stored } = answer;
      if (stored !== undefined && stored !== crcBase64(crc)) {
        throw differs(name, `part ${part.number} has CRC-32C ${stored}, not ${crcBase64(crc)}`);
      }
      completed[part.number - 1] = {
        PartNumber: part.number,
        ETag,
        ...(stored === undefined ? {} : { ChecksumCRC32C: stored }),
      };
    },

    async complete({ size, crc }) {
      const checksum =
        digest === "CRC32C"
          ? { ChecksumCRC32C: crcBase64(crc), ChecksumType: "FULL_OBJECT" as const, MpuObjectSize: size }
          : {};
      await commit.run(`completing the upload of ${name}`, (condition, abortSignal) =>
        client.send(
          new CompleteMultipartUploadCommand({
            ...target,
            ...condition,
            ...checksum,
            UploadId: uploadId,
            MultipartUpload: { Parts: completed },
          }),
          { abortSignal },
        ),
      );
    },

    async abort(during) {
      if (uploadId === undefined) return;
      const command = new AbortMultipartUploadCommand({ ...target, UploadId: uploadId });
      await access.call(`aborting the upload of ${name}`, (o) => client.send(command, o), { signal: during });
    },
  };
}

function isUnknownParameter(error: unknown): boolean {
  if (isNotImplemented(error)) return true;
  return error instanceof OperatorError && error.code === "StoreFailed" && error.permanent;
}
