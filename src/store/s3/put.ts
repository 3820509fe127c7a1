import { PutObjectCommand } from "@aws-sdk/client-s3";
import { crc32c } from "@node-rs/crc32";
import { type Part, gatherParts, growingPartSize } from "../parts/gather.ts";
import { abortError } from "../interruptible.ts";
import { type Allocate, createPartBuffers } from "../parts/buffers.ts";
import type { S3Access } from "./client.ts";
import { type S3Commit, alreadyExists, createCommit, isUnproved } from "./commit.ts";
import { type S3Dialect, attributeFields, digestFields, isUnknownParameter, refusedCrc } from "./dialect.ts";
import { S3Multipart } from "./multipart.ts";
import { confirmStored } from "./proof.ts";
import { headObject } from "./read.ts";
import type { PutOptions, StoredObject } from "../store.ts";

/**
 * Bytes: 32 MiB of buffers with three parts in flight and one being filled. Small stores take only some hundred parts.
 */
const defaultPartSize = 8 * 1024 * 1024;
const defaultConcurrency = 3;
/** Milliseconds for the cleanup after a failed put. */
const cleanupMs = 10_000;

export interface S3PutContext {
  access: S3Access;
  dialect: S3Dialect;
  /** Sends also an object that fits into one part as a multipart upload. */
  alwaysInParts?: boolean;
  /** Replaced in tests that count the buffers. */
  allocate?: Allocate;
}

/**
 * Store.put on S3: one PutObject when all bytes fit into one part, else a multipart upload. Memory:
 * (concurrency + 1) × partSize. After a failure the upload is aborted and an object that became visible is removed,
 * unless its bytes are right and `takeBack` keeps it.
 */
export async function putObject(
  context: S3PutContext,
  name: string,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: PutOptions,
): Promise<StoredObject> {
  const { access, dialect } = context;
  const scope = new AbortController();
  const signal = AbortSignal.any([options.signal, scope.signal]);
  const commit = createCommit(access, dialect, { name, signal });
  const multipart = new S3Multipart(access, dialect, { ...options, name, commit, signal });
  const tasks: Promise<void>[] = [];
  try {
    if ((await headObject(access, name, signal)) !== undefined) throw alreadyExists(name);
    const sent = { name, size: 0, crc: 0, inParts: false };
    const progress = counter(options.onProgress);
    const { parts, release } = partsOf(context, source, signal);
    for await (const part of parts) {
      sent.size += part.bytes.length;
      sent.crc = crc32c(part.bytes, sent.crc);
      if (part.number === 1 && part.last && context.alwaysInParts !== true) {
        await putWhole(context, commit, { part, crc: sent.crc }, { ...options, name });
        progress(part.bytes.length);
        continue;
      }
      if (!sent.inParts) await multipart.begin();
      sent.inParts = true;
      const task = storePart(multipart, part, { progress, release });
      tasks.push(task.catch((error: unknown) => scope.abort(error)));
    }
    await Promise.all(tasks);
    if (signal.aborted) throw abortError(signal);
    if (sent.inParts) await multipart.complete(sent);
    return await confirmStored(context, sent, signal);
  } catch (error) {
    scope.abort(error);
    await Promise.all(tasks);
    const cleanup = AbortSignal.timeout(cleanupMs);
    // Report the error of the put, not that of the cleanup; sweep finds what the cleanup leaves.
    await multipart.abort(cleanup).catch(() => {});
    const takeBack = isUnproved(error) ? undefined : options.takeBack;
    await commit.undo(cleanup, takeBack).catch(() => {});
    throw error;
  }
}

function partsOf(
  { access, allocate }: S3PutContext,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  signal: AbortSignal,
) {
  const { concurrency = defaultConcurrency, partSize = defaultPartSize } = access.options;
  const buffers = createPartBuffers({
    limit: concurrency + 1,
    ...(allocate === undefined ? {} : { allocate }),
  });
  return {
    parts: gatherParts(source, { buffers, partSizeAt: growingPartSize(partSize), signal }),
    release: buffers.release,
  };
}

async function storePart(
  multipart: S3Multipart,
  part: Part,
  { progress, release }: { progress: (bytes: number) => void; release: (buffer: Buffer) => void },
): Promise<void> {
  try {
    await multipart.part(part);
  } finally {
    release(part.buffer);
  }
  progress(part.bytes.length);
}

async function putWhole(
  { access, dialect }: S3PutContext,
  commit: S3Commit,
  { part, crc }: { part: Part; crc: number },
  options: PutOptions & { name: string },
): Promise<void> {
  const doing = `storing ${options.name}`;
  const send = (digest: S3Dialect["digest"]) =>
    commit.run(doing, (condition, abortSignal) =>
      access.client.send(
        new PutObjectCommand({
          Bucket: access.options.bucket,
          Key: access.key(options.name),
          ...attributeFields(access.options, options),
          ...condition,
          Metadata: commit.metadata,
          Body: part.bytes,
          ...digestFields(part.bytes, crc, digest),
        }),
        { abortSignal },
      ),
    );
  const { digest } = dialect;
  try {
    await send(digest);
  } catch (error) {
    if (digest !== "CRC32C" || !isUnknownParameter(error)) throw error;
    if (dialect.withoutCrc === "Fail") throw refusedCrc(error, doing);
    await send("MD5");
    dialect.digest = "MD5";
  }
}

function counter(onProgress: PutOptions["onProgress"]): (bytes: number) => void {
  let stored = 0;
  return (bytes) => {
    stored += bytes;
    onProgress?.(stored);
  };
}
