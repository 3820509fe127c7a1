import {
  type CompletedPart,
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
  type UploadPartCommandOutput,
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

/**
 * The multipart upload of one object. Its digest is CRC-32C until the bucket turns out not to know it, then MD5, also
 * for later uploads.
 */
export class S3Multipart {
  readonly #access: S3Access;
  readonly #dialect: S3Dialect;
  readonly #options: PutOptions & { name: string; commit: S3Commit };
  readonly #target: { Bucket: string; Key: string };
  readonly #completed: CompletedPart[] = [];
  #uploadId: string | undefined;
  #digest: S3Dialect["digest"];

  constructor(
    access: S3Access,
    dialect: S3Dialect,
    options: PutOptions & { name: string; commit: S3Commit },
  ) {
    this.#access = access;
    this.#dialect = dialect;
    this.#options = options;
    this.#target = { Bucket: access.options.bucket, Key: access.key(options.name) };
    this.#digest = dialect.digest;
  }

  async begin(): Promise<void> {
    this.#digest = this.#dialect.digest;
    if (this.#digest === "CRC32C") {
      try {
        this.#uploadId = await this.#create({ ChecksumAlgorithm: "CRC32C", ChecksumType: "FULL_OBJECT" });
      } catch (error) {
        if (!isUnknownParameter(error)) throw error;
        this.#useMD5();
      }
    }
    this.#uploadId ??= await this.#create({});
  }

  /** Stores one part. Parts may come in any order, several at once. */
  async part(part: Part): Promise<void> {
    const crc = crc32c(part.bytes);
    const sentAs = this.#digest;
    let answer = await this.#upload(part, crc);
    if (sentAs === "CRC32C" && answer.ChecksumCRC32C === undefined) {
      // The store ignored the checksum. Every S3 store checks Content-MD5.
      this.#useMD5();
      answer = await this.#upload(part, crc);
    }
    const { ETag, ChecksumCRC32C: stored } = answer;
    if (stored !== undefined && stored !== crcBase64(crc)) {
      throw differs(this.#options.name, `part ${part.number} has CRC-32C ${stored}, not ${crcBase64(crc)}`);
    }
    this.#completed[part.number - 1] = {
      PartNumber: part.number,
      ETag,
      ...(stored === undefined ? {} : { ChecksumCRC32C: stored }),
    };
  }

  /** Makes the object visible. `sent` is what all parts hold together. */
  async complete({ size, crc }: { size: number; crc: number }): Promise<void> {
    const { name, commit } = this.#options;
    const checksum =
      this.#digest === "CRC32C"
        ? { ChecksumCRC32C: crcBase64(crc), ChecksumType: "FULL_OBJECT" as const, MpuObjectSize: size }
        : {};
    await commit.run(`completing the upload of ${name}`, (condition, abortSignal) =>
      this.#access.client.send(
        new CompleteMultipartUploadCommand({
          ...this.#target,
          ...condition,
          ...checksum,
          UploadId: this.#uploadId,
          MultipartUpload: { Parts: this.#completed },
        }),
        { abortSignal },
      ),
    );
  }

  /** Does nothing before `begin`. */
  async abort(signal: AbortSignal): Promise<void> {
    if (this.#uploadId === undefined) return;
    const command = new AbortMultipartUploadCommand({ ...this.#target, UploadId: this.#uploadId });
    const doing = `aborting the upload of ${this.#options.name}`;
    await this.#access.call(doing, (o) => this.#access.client.send(command, o), { signal });
  }

  async #create(checksum: { ChecksumAlgorithm?: "CRC32C"; ChecksumType?: "FULL_OBJECT" }): Promise<string> {
    const { name, commit, signal } = this.#options;
    using late = lingering(signal, graceMs);
    const command = new CreateMultipartUploadCommand({
      ...this.#target,
      ...attributeFields(this.#access.options, this.#options),
      ...checksum,
      Metadata: commit.metadata,
    });
    const doing = `starting the upload of ${name}`;
    const { UploadId } = await this.#access.call(doing, (o) => this.#access.client.send(command, o), {
      signal,
      requestSignal: late.signal,
    });
    if (UploadId !== undefined) return UploadId;
    throw new OperatorError("StoreFailed", `${doing}: the store returned no upload ID`);
  }

  /** Outlives the signal by `graceMs`: a part that is stored after the upload was aborted would never be removed. */
  async #upload({ number, bytes }: Part, crc: number): Promise<UploadPartCommandOutput> {
    const { name, signal } = this.#options;
    using late = lingering(signal, graceMs);
    const command = new UploadPartCommand({
      ...this.#target,
      UploadId: this.#uploadId,
      PartNumber: number,
      Body: bytes,
      ...digestFields(bytes, crc, this.#digest),
    });
    return await this.#access.call(
      `storing part ${number} of ${name}`,
      (o) => this.#access.client.send(command, o),
      { signal, requestSignal: late.signal },
    );
  }

  #useMD5(): void {
    this.#digest = "MD5";
    this.#dialect.digest = "MD5";
  }
}

function isUnknownParameter(error: unknown): boolean {
  if (isNotImplemented(error)) return true;
  return error instanceof OperatorError && error.code === "StoreFailed" && error.permanent;
}
