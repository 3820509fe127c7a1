import {
  type ListObjectVersionsCommandOutput,
  DeleteObjectCommand,
  GetBucketVersioningCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
} from "@aws-sdk/client-s3";
import { OperatorError, messageOf } from "../../core/errors.ts";
import { throwIfAborted } from "../interruptible.ts";
import type { S3Access } from "./client.ts";
import { isAccessDenied, isNoSuchVersion } from "./errors.ts";
import { untrustworthy } from "./list.ts";

const setting = "spec.s3.versions of the EtcdBackupStore, versions= in a store's URL";

/**
 * Whether the bucket keeps versions. One whose versioning is suspended still holds those from before. Undefined when
 * asking is not permitted, or the store does not support versioning.
 */
export async function versioningOf(
  access: S3Access,
  { signal, attempts }: { signal: AbortSignal; attempts: number },
): Promise<boolean | undefined> {
  try {
    const { Status: status } = await access.call(
      "reading the versioning of the bucket",
      (o) => access.client.send(new GetBucketVersioningCommand({ Bucket: access.options.bucket }), o),
      { signal, attempts },
    );
    return status === "Enabled" || status === "Suspended";
  } catch {
    throwIfAborted(signal);
    return undefined;
  }
}

/**
 * Removes all versions and delete markers of one object. The current one comes last: until then the object is listed,
 * so that a call that failed can be repeated. Throws Refused for a version under object lock, and Unauthorized that
 * names the permission.
 */
export async function removeVersions(access: S3Access, name: string, signal: AbortSignal): Promise<void> {
  const current: string[] = [];
  const others: string[] = [];
  for await (const { Versions = [], DeleteMarkers = [] } of versionPages(access, name, signal)) {
    for (const { Key, VersionId = "null", IsLatest } of [...Versions, ...DeleteMarkers]) {
      // The listing is of a prefix, with which the keys of other objects may begin as well.
      if (Key === access.key(name)) (IsLatest === true ? current : others).push(VersionId);
    }
  }
  for (const version of [...others, ...current]) await removeVersion(access, name, { version, signal });
}

async function* versionPages(
  access: S3Access,
  name: string,
  signal: AbortSignal,
): AsyncGenerator<ListObjectVersionsCommandOutput, void, undefined> {
  const { client, options } = access;
  const doing = `listing the versions of ${name}`;
  let marker: { KeyMarker?: string; VersionIdMarker?: string } | undefined = {};
  do {
    const command: ListObjectVersionsCommand = new ListObjectVersionsCommand({
      Bucket: options.bucket,
      Prefix: access.key(name),
      ...marker,
      ...(options.pageSize === undefined ? {} : { MaxKeys: options.pageSize }),
    });
    const page: ListObjectVersionsCommandOutput = await access
      .call(doing, (o) => client.send(command, o), { signal })
      .catch(throwNaming("s3:ListBucketVersions"));
    yield page;
    const { IsTruncated, NextKeyMarker, NextVersionIdMarker } = page;
    if (IsTruncated === true && NextKeyMarker === undefined)
      throw untrustworthy(doing, "it is truncated without a key marker");
    marker =
      IsTruncated === true && NextKeyMarker !== undefined
        ? {
            KeyMarker: NextKeyMarker,
            ...(NextVersionIdMarker === undefined ? {} : { VersionIdMarker: NextVersionIdMarker }),
          }
        : undefined;
  } while (marker !== undefined);
}

async function removeVersion(
  access: S3Access,
  name: string,
  { version, signal }: { version: string; signal: AbortSignal },
): Promise<void> {
  const target = { Bucket: access.options.bucket, Key: access.key(name), VersionId: version };
  try {
    await access.call(
      `removing version ${version} of ${name}`,
      (o) => access.client.send(new DeleteObjectCommand(target), o),
      { signal },
    );
  } catch (error) {
    throwIfAborted(signal);
    if (isNoSuchVersion(error)) return;
    const lock = await lockOf(access, target, signal);
    if (lock === undefined && !/object lock|WORM/i.test(messageOf(error)))
      throwNaming("s3:DeleteObjectVersion")(error);
    throw new OperatorError(
      "Refused",
      `removing ${name}: its version ${version} is under object lock${lock === undefined ? "" : `, ${lock}`}`,
      {
        hint: `wait until the lock expires and end a legal hold, or set versions to Keep, which only hides the object (${setting})`,
        cause: error,
      },
    );
  }
}

/** What keeps the version from being removed. Undefined when nothing does, or the store does not say. */
async function lockOf(
  access: S3Access,
  target: { Bucket: string; Key: string; VersionId: string },
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const head = await access.call(
      "reading the object lock of a version",
      (o) => access.client.send(new HeadObjectCommand(target), o),
      { signal, attempts: 1 },
    );
    if (head.ObjectLockLegalHoldStatus === "ON") return "by a legal hold";
    const until = head.ObjectLockRetainUntilDate;
    return until === undefined || until <= new Date() ? undefined : `until ${until.toISOString()}`;
  } catch {
    throwIfAborted(signal);
    return undefined;
  }
}

/** Rethrows an error. That of a missing permission gets the name of the permission. */
function throwNaming(permission: string): (error: unknown) => never {
  return (error) => {
    if (!isAccessDenied(error)) throw error;
    throw new OperatorError("Unauthorized", `${messageOf(error)}; versions Remove needs ${permission}`, {
      hint: `grant the credentials ${permission} on the bucket and prefix, or set versions to Keep (${setting})`,
      cause: error,
    });
  };
}
