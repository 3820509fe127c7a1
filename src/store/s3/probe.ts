import { randomUUID } from "node:crypto";
import {
  GetObjectLockConfigurationCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import { crc32c } from "@node-rs/crc32";
import { OperatorError } from "../../core/errors.ts";
import { throwIfAborted } from "../interruptible.ts";
import { type S3Access, connectS3 } from "./client.ts";
import { checksumFails, dialectOf, digestFields, mayBeOfChecksum } from "./dialect.ts";
import { isNotImplemented } from "./errors.ts";
import { type S3PutContext, putObject } from "./put.ts";
import { takeBackObject } from "./remove.ts";
import { type S3Checksum, s3Checksums } from "./settings.ts";
import { versioningOf } from "./versions.ts";
import type { Capabilities } from "../store.ts";

/** Fewer than of other requests: a user or a controller waits for the answer. */
const probeAttempts = 3;

/** Store.probe on S3. A capability that was not tried is false. */
export async function probeBucket(
  context: S3PutContext,
  options: { write: boolean; signal: AbortSignal },
): Promise<Capabilities> {
  const { access } = context;
  const { signal } = options;
  const { bucket, prefix } = access.options;
  await access.call(
    `reaching bucket ${bucket}`,
    (o) =>
      access.client.send(
        new ListObjectsV2Command({
          Bucket: bucket,
          MaxKeys: 1,
          ...(prefix === "" ? {} : { Prefix: `${prefix}/` }),
        }),
        o,
      ),
    { signal, attempts: probeAttempts },
  );
  const objectLock = await hasObjectLock(access, signal);
  const versioning = await versioningOf(access, { signal, attempts: probeAttempts });
  const seen = { objectLock, ...(versioning === undefined ? {} : { versioning }) };
  if (!options.write) return { conditionalWrites: false, checksums: false, ...seen };
  const { checksum = "Auto" } = access.options;
  try {
    // The store may answer the two ways of storing an object differently.
    if (checksum === "CRC32C") await tryWrite({ ...context, alwaysInParts: true }, signal);
    return { ...(await tryWrite(context, signal)), ...seen };
  } catch (error) {
    if (!mayBeOfChecksum(error)) throw error;
    const working = await workingChecksum(context, signal);
    throw working === undefined ? error : checksumFails(checksum, working, error);
  }
}

/** Stores a small object and removes it. */
async function tryWrite(
  context: S3PutContext,
  signal: AbortSignal,
): Promise<Pick<Capabilities, "conditionalWrites" | "checksums">> {
  const name = `.probe-${randomUUID()}`;
  const content = [Buffer.from("written to find out what this store can do\n")];
  const { proof } = await putObject(context, name, content, { signal, storageClass: "Default" });
  try {
    const conditionalWrites = await refusesToOverwrite(context, name, signal);
    return { conditionalWrites, checksums: proof === "FullObjectCRC32C" };
  } finally {
    await takeBackObject(context, name, signal);
  }
}

/** The first other setting with which the store takes an object. Undefined when none helps. */
async function workingChecksum(
  { access, ...context }: S3PutContext,
  signal: AbortSignal,
): Promise<S3Checksum | undefined> {
  for (const checksum of s3Checksums) {
    if (checksum === (access.options.checksum ?? "Auto")) continue;
    const options = { ...access.options, checksum };
    await using other = connectS3(options);
    const works = await tryWrite({ ...context, access: other, dialect: dialectOf(options) }, signal).then(
      () => true,
      () => false,
    );
    throwIfAborted(signal);
    if (works) return checksum;
  }
  return undefined;
}

async function hasObjectLock(access: S3Access, signal: AbortSignal): Promise<boolean> {
  try {
    const { ObjectLockConfiguration: lock } = await access.call(
      "reading the object lock configuration",
      (o) => access.client.send(new GetObjectLockConfigurationCommand({ Bucket: access.options.bucket }), o),
      { signal, attempts: probeAttempts },
    );
    return lock?.ObjectLockEnabled === "Enabled";
  } catch {
    // The bucket has no lock, asking is not permitted, or the store does not support locks.
    throwIfAborted(signal);
    return false;
  }
}

async function refusesToOverwrite(
  { access, dialect }: S3PutContext,
  name: string,
  signal: AbortSignal,
): Promise<boolean> {
  const content = Buffer.from("overwritten\n");
  const put = new PutObjectCommand({
    Bucket: access.options.bucket,
    Key: access.key(name),
    Body: content,
    IfNoneMatch: "*",
    ...digestFields(content, crc32c(content), dialect.digest),
  });
  try {
    await access.call("trying a conditional put", (o) => access.client.send(put, o), {
      signal,
      attempts: probeAttempts,
    });
    return false;
  } catch (error) {
    if (error instanceof OperatorError && error.code === "AlreadyExists") return true;
    if (isNotImplemented(error)) return false;
    throw error;
  }
}
