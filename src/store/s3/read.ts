import type { Readable } from "node:stream";
import { type GetObjectCommandOutput, GetObjectCommand, HeadObjectCommand } from "@aws-sdk/client-s3";
import { crc32c } from "@node-rs/crc32";
import { OperatorError } from "../../core/errors.ts";
import { hex8 } from "../../core/hex.ts";
import { crcHexOfBase64 } from "../checksum.ts";
import { interruptible, throwIfAborted } from "../interruptible.ts";
import type { S3Access } from "./client.ts";
import { isTransient } from "./errors.ts";
import type { ObjectInfo } from "../store.ts";

/** ObjectInfo with what only the S3 store needs. */
export interface S3Object extends ObjectInfo {
  metadata: Record<string, string>;
}

/** Undefined when there is no such object, and also when there is no such bucket: S3 answers a HEAD the same. */
export async function headObject(
  access: S3Access,
  name: string,
  signal: AbortSignal,
): Promise<S3Object | undefined> {
  try {
    const head = await access.call(
      `looking up ${name}`,
      (o) =>
        access.client.send(
          new HeadObjectCommand({
            Bucket: access.options.bucket,
            Key: access.key(name),
            ChecksumMode: "ENABLED",
          }),
          o,
        ),
      { signal },
    );
    const crc = head.ChecksumType === "COMPOSITE" ? undefined : crcHexOfBase64(head.ChecksumCRC32C);
    return {
      name,
      size: head.ContentLength ?? 0,
      modified: head.LastModified ?? new Date(0),
      metadata: head.Metadata ?? {},
      ...(crc === undefined ? {} : { crc32c: crc }),
    };
  } catch (error) {
    if (error instanceof OperatorError && error.code === "NotFound") return undefined;
    throw error;
  }
}

/** A read gives up after so many broken connections in a row, each with less than `progressBytes` bytes. */
const attemptsWithoutProgress = 4;
const progressBytes = 64 * 1024;

/**
 * Store.get on S3. A read that breaks is resumed where it broke, from the same version of the object. It ends only when
 * the announced number of bytes has arrived with the checksum that the store holds. Throws OperatorError.
 */
export async function* readObject(
  access: S3Access,
  name: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reading = { offset: 0, crc: 0 };
  const first = await open(access, name, { signal });
  const object = { size: first.ContentLength ?? 0, etag: first.ETag, crc32c: wholeCrc(first) };
  let body = bodyOf(first);
  for (let withoutProgress = 0; ; ) {
    const from = reading.offset;
    let broken: OperatorError | undefined;
    try {
      for await (const chunk of interruptible<Uint8Array>(body, signal)) {
        reading.offset += chunk.length;
        reading.crc = crc32c(chunk, reading.crc);
        yield chunk;
      }
    } catch (thrown) {
      throwIfAborted(signal);
      broken = access.classify(thrown, `reading ${name}`, signal);
      if (!isTransient(broken)) throw broken;
    } finally {
      body.destroy();
    }
    if (reading.offset >= object.size) break;
    withoutProgress = reading.offset - from >= progressBytes ? 0 : withoutProgress + 1;
    if (withoutProgress >= attemptsWithoutProgress) {
      throw broken ?? altered(name, `it ends after ${reading.offset} bytes of ${object.size}`);
    }
    body = await resume(access, name, { signal, offset: reading.offset, etag: object.etag });
  }
  if (reading.offset !== object.size) {
    throw altered(name, `${reading.offset} bytes arrived of ${object.size} announced`);
  }
  if (object.crc32c !== undefined && object.crc32c !== hex8(reading.crc)) {
    throw altered(name, `its bytes have CRC-32C ${hex8(reading.crc)}, not ${object.crc32c}`);
  }
}

interface Opening {
  signal: AbortSignal;
  offset?: number;
  etag?: string | undefined;
}

async function open(access: S3Access, name: string, opening: Opening): Promise<GetObjectCommandOutput> {
  const { signal, offset = 0, etag } = opening;
  const command = new GetObjectCommand({
    Bucket: access.options.bucket,
    Key: access.key(name),
    ...(offset === 0 ? {} : { Range: `bytes=${offset}-` }),
    ...(etag === undefined ? {} : { IfMatch: etag }),
  });
  return access.call(`reading ${name}`, (o) => access.client.send(command, o), { signal });
}

async function resume(access: S3Access, name: string, opening: Opening): Promise<Readable> {
  const answer = await open(access, name, opening).catch((error: unknown) => {
    const changed = error instanceof OperatorError && error.code === "AlreadyExists";
    throw changed ? altered(name, "it was changed while it was read") : error;
  });
  const { offset = 0 } = opening;
  if (offset > 0 && answer.ContentRange?.startsWith(`bytes ${offset}-`) !== true) {
    bodyOf(answer).destroy();
    throw new OperatorError(
      "StoreFailed",
      `reading ${name}: the store does not continue from byte ${offset}`,
      {
        permanent: true,
      },
    );
  }
  return bodyOf(answer);
}

function bodyOf({ Body }: GetObjectCommandOutput): Readable {
  if (Body === undefined) throw new OperatorError("StoreFailed", "the store's answer has no body");
  return Body as unknown as Readable;
}

function wholeCrc({ ChecksumType, ChecksumCRC32C }: GetObjectCommandOutput): string | undefined {
  return ChecksumType === "COMPOSITE" ? undefined : crcHexOfBase64(ChecksumCRC32C);
}

function altered(name: string, how: string): OperatorError {
  return new OperatorError("VerificationFailed", `reading ${name}: ${how}`, {
    permanent: false,
    hint: "read it again; if that fails as well, the object is damaged",
  });
}
