import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import { OperatorError } from "../../core/errors.ts";
import { throwIfAborted } from "../interruptible.ts";
import { type S3Access, defaultAttempts } from "./client.ts";
import type { S3Dialect } from "./dialect.ts";
import { isNoSuchBucket, isNotImplemented } from "./errors.ts";
import { removeVersions, versioningOf } from "./versions.ts";

interface Bucket {
  access: S3Access;
  dialect: S3Dialect;
}

/** Store.remove on S3: with `versions: Remove` all versions, also in a bucket that does not say whether it keeps any. */
export async function removeObject(bucket: Bucket, name: string, signal: AbortSignal): Promise<void> {
  const { access } = bucket;
  if (access.options.versions !== "Remove") return deleteObject(access, name, signal);
  const versioned = await mayKeepVersions(bucket, signal);
  if (versioned === "no") return deleteObject(access, name, signal);
  try {
    await removeVersions(access, name, signal);
  } catch (error) {
    if (versioned === "yes" || !isNotImplemented(error)) throw error;
    await deleteObject(access, name, signal);
  }
}

/**
 * Removes an object that nobody may use or miss: a probe's, that of a put that failed, or an old sign of life. Where its versions cannot be removed
 * it is hidden. Object lock is no error then.
 */
export async function takeBackObject(bucket: Bucket, name: string, signal: AbortSignal): Promise<void> {
  try {
    await removeObject(bucket, name, signal);
  } catch (error) {
    throwIfAborted(signal);
    if (bucket.access.options.versions !== "Remove") throw error;
    await deleteObject(bucket.access, name, signal);
    if (!(error instanceof OperatorError && error.code === "Refused")) throw error;
  }
}

/** In a bucket with versioning the object is only hidden. Some stores answer 404 for an object that does not exist. */
async function deleteObject(access: S3Access, name: string, signal: AbortSignal): Promise<void> {
  const command = new DeleteObjectCommand({ Bucket: access.options.bucket, Key: access.key(name) });
  try {
    await access.call(`removing ${name}`, (o) => access.client.send(command, o), { signal });
  } catch (error) {
    const notFound = error instanceof OperatorError && error.code === "NotFound";
    if (!notFound || isNoSuchBucket(error)) throw error;
  }
}

/** Versioning can be turned on at any time, and never off. */
async function mayKeepVersions(
  { access, dialect }: Bucket,
  signal: AbortSignal,
): Promise<"yes" | "no" | "unknown"> {
  if (dialect.versioned === true) return "yes";
  const attempts = access.options.attempts ?? defaultAttempts;
  const versioning = await versioningOf(access, { signal, attempts });
  if (versioning === undefined) return "unknown";
  dialect.versioned = versioning;
  return versioning ? "yes" : "no";
}
