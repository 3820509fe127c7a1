import type { Readable } from "node:stream";
import {
  type GetObjectCommandOutput,
  type HeadObjectCommandOutput,
  GetObjectCommand,
  HeadObjectCommand,
} from "@aws-sdk/client-s3";
import { crc32c } from "@node-rs/crc32";
import { OperatorError } from "../../core/errors.ts";
import { hex8 } from "../../core/hex.ts";
import { crcHexOfBase64 } from "../checksum.ts";
import { interruptible, throwIfAborted } from "../interruptible.ts";
import type { S3Access } from "./client.ts";
import { isOutOfRange, isTransient } from "./errors.ts";
import { reportsCrc } from "./settings.ts";
import { boundsOf, outOfRange } from "../byte-range.ts";
import type { ByteRange, GetOptions, ObjectInfo } from "../store.ts";

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
            ...(reportsCrc(access.options) ? { ChecksumMode: "ENABLED" } : {}),
          }),
          o,
        ),
      { signal },
    );
    const crc = wholeCrc(access, head);
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
 * the announced number of bytes has arrived, and for a whole object with the checksum that the store holds. Throws
 * OperatorError.
 */
export async function* readObject(
  access: S3Access,
  name: string,
  { signal, range }: GetOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reading = { offset: range?.offset ?? 0, crc: 0 };
  const first = await openFirst(access, name, signal, range);
  if (first === undefined) return;
  const { body: firstBody, ...object } = first;
  let body = firstBody;
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
    if (reading.offset >= object.end) break;
    withoutProgress = reading.offset - from >= progressBytes ? 0 : withoutProgress + 1;
    if (withoutProgress >= attemptsWithoutProgress) {
      throw broken ?? altered(name, `it ends after ${reading.offset} bytes of ${object.end}`);
    }
    const { offset } = reading;
    const part = range === undefined ? {} : { isRange: true, end: object.end };
    body = await resume(access, name, { signal, offset, ...part, etag: object.etag });
  }
  if (reading.offset !== object.end) {
    throw altered(name, `${reading.offset} bytes arrived of ${object.end} announced`);
  }
  if (object.crc32c !== undefined && object.crc32c !== hex8(reading.crc)) {
    throw altered(name, `its bytes have CRC-32C ${hex8(reading.crc)}, not ${object.crc32c}`);
  }
}

/**
 * The first answer, and where the bytes that were asked for end in the object. Undefined when nothing is asked for: S3
 * has no range of no bytes.
 */
async function openFirst(
  access: S3Access,
  name: string,
  signal: AbortSignal,
  range: ByteRange | undefined,
): Promise<
  { body: Readable; end: number; etag: string | undefined; crc32c: string | undefined } | undefined
> {
  if (range === undefined) {
    const answer = await open(access, name, { signal });
    return {
      body: bodyOf(answer),
      end: answer.ContentLength ?? 0,
      etag: answer.ETag,
      crc32c: wholeCrc(access, answer),
    };
  }
  const { offset, length } = range;
  const end = length === undefined ? undefined : offset + length;
  const answer =
    length === 0
      ? undefined
      : await open(access, name, { signal, offset, end, isRange: true }).catch((error: unknown) => {
          if (isOutOfRange(error)) return undefined;
          throw error;
        });
  if (answer === undefined) {
    const size = (await headObject(access, name, signal))?.size;
    if (size === undefined) throw new OperatorError("NotFound", `reading ${name}: the object does not exist`);
    const bounds = boundsOf(range, size, `reading ${name}`);
    if (bounds.offset < bounds.end) throw altered(name, "it was changed while it was read");
    return undefined;
  }
  const body = continued(answer, name, offset);
  const arriving = offset + (answer.ContentLength ?? 0);
  if (end === undefined || arriving === end)
    return { body, end: arriving, etag: answer.ETag, crc32c: undefined };
  body.destroy();
  throw outOfRange(range, arriving, `reading ${name}`);
}

interface Opening {
  signal: AbortSignal;
  offset?: number;
  /** The end of the range; absent: the end of the object. */
  end?: number | undefined;
  /** Sends a Range header for the offset 0 too. */
  isRange?: boolean;
  etag?: string | undefined;
}

async function open(access: S3Access, name: string, opening: Opening): Promise<GetObjectCommandOutput> {
  const { signal, offset = 0, end, isRange = offset > 0, etag } = opening;
  const command = new GetObjectCommand({
    Bucket: access.options.bucket,
    Key: access.key(name),
    ...(isRange ? { Range: `bytes=${offset}-${end === undefined ? "" : end - 1}` } : {}),
    ...(etag === undefined ? {} : { IfMatch: etag }),
  });
  return access.call(`reading ${name}`, (o) => access.client.send(command, o), { signal });
}

async function resume(access: S3Access, name: string, opening: Opening): Promise<Readable> {
  const answer = await open(access, name, opening).catch((error: unknown) => {
    const changed = error instanceof OperatorError && error.code === "AlreadyExists";
    throw changed ? altered(name, "it was changed while it was read") : error;
  });
  const { offset = 0, isRange = offset > 0 } = opening;
  return isRange ? continued(answer, name, offset) : bodyOf(answer);
}

/** The body of an answer that must begin at `offset`. */
function continued(answer: GetObjectCommandOutput, name: string, offset: number): Readable {
  if (answer.ContentRange?.startsWith(`bytes ${offset}-`) === true) return bodyOf(answer);
  bodyOf(answer).destroy();
  const problem = `reading ${name}: the store does not continue from byte ${offset}`;
  throw new OperatorError("StoreFailed", problem, { permanent: true });
}

function bodyOf({ Body }: GetObjectCommandOutput): Readable {
  if (Body === undefined) throw new OperatorError("StoreFailed", "the store's answer has no body");
  return Body as unknown as Readable;
}

/** A checksum that was not asked for is ignored. */
function wholeCrc(
  { options }: S3Access,
  { ChecksumType, ChecksumCRC32C }: Pick<HeadObjectCommandOutput, "ChecksumType" | "ChecksumCRC32C">,
): string | undefined {
  const isOfParts = ChecksumType === "COMPOSITE";
  return isOfParts || !reportsCrc(options) ? undefined : crcHexOfBase64(ChecksumCRC32C);
}

function altered(name: string, how: string): OperatorError {
  return new OperatorError("VerificationFailed", `reading ${name}: ${how}`, {
    permanent: false,
    hint: "read it again; if that fails as well, the object is damaged",
  });
}
