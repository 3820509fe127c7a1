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
import {
  type S3Dialect,
  attributeFields,
  crcUnconfirmed,
  digestFields,
  isUnknownParameter,
  refusedCrc,
} from "./dialect.ts";
import { differs } from "./proof.ts";
import type { PutOptions } from "../store.ts";

/**
 * The multipart upload of one object. With `checksum: Auto` its digest is CRC-32C until the bucket turns out not to know
 * it, then MD5, also for later uploads.
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
        this.#useMD5(refusedCrc(error, `starting the upload of ${this.#options.name}`));
      }
    }
    this.#uploadId ??= await this.#create({});
  }

  /** Stores one part. Parts may come in any order, several at once. */
  async part(part: Part): Promise<void> {
    const { number } = part;
    const crc = crc32c(part.bytes);
    const answer = this.#digest === "CRC32C" ? await this.#uploadWithCrc(part, crc) : undefined;
    if (answer !== undefined) {
      const { ETag, ChecksumCRC32C: stored } = answer;
      if (stored !== crcBase64(crc))
        throw differs(this.#options.name, `part ${number} has CRC-32C ${stored}, not ${crcBase64(crc)}`);
      this.#completed[number - 1] = { PartNumber: number, ETag, ChecksumCRC32C: stored };
      return;
    }
    const { ETag } = await this.#upload(part, crc);
    this.#completed[number - 1] = { PartNumber: number, ETag };
  }

  /** Undefined when the store refused or ignored the CRC-32C. Every S3 store checks Content-MD5, which takes its place. */
  async #uploadWithCrc(part: Part, crc: number): Promise<UploadPartCommandOutput | undefined> {
    const doing = `storing part ${part.number} of ${this.#options.name}`;
    let refusal: unknown = crcUnconfirmed(doing, "the store ignores it");
    try {
      const answer = await this.#upload(part, crc, "CRC32C");
      if (answer.ChecksumCRC32C !== undefined) return answer;
    } catch (error) {
      if (!isUnknownParameter(error)) throw error;
      refusal = refusedCrc(error, doing);
    }
    this.#useMD5(refusal);
    return undefined;
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
  async #upload(
    { number, bytes }: Part,
    crc: number,
    digest: S3Dialect["digest"] = this.#digest,
  ): Promise<UploadPartCommandOutput> {
    const { name, signal } = this.#options;
    using late = lingering(signal, graceMs);
    const command = new UploadPartCommand({
      ...this.#target,
      UploadId: this.#uploadId,
      PartNumber: number,
      Body: bytes,
      ...digestFields(bytes, crc, digest),
    });
    return await this.#access.call(
      `storing part ${number} of ${name}`,
      (o) => this.#access.client.send(command, o),
      { signal, requestSignal: late.signal },
    );
  }

  /** Throws `otherwise` where the checksum has to be CRC-32C. */
  #useMD5(otherwise: unknown): void {
    if (this.#dialect.withoutCrc === "Fail") throw otherwise;
    this.#digest = "MD5";
    this.#dialect.digest = "MD5";
  }
}
