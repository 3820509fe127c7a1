import {
  type ListObjectsV2CommandInput,
  type ListObjectsV2CommandOutput,
  type MultipartUpload,
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
} from "@aws-sdk/client-s3";
import { OperatorError } from "../../core/errors.ts";
import { checkPrefix, isObjectName } from "../object-name.ts";
import type { S3Access } from "./client.ts";
import { isNoSuchUpload } from "./errors.ts";
import type { CallOptions, ListOptions, ObjectInfo, SweepOptions } from "../store.ts";

/** The beginning of every key of this store. */
function folder({ options: { prefix } }: S3Access): string {
  return prefix === "" ? "" : `${prefix}/`;
}

/** Store.list on S3. Keys that no put of a store can have created, such as folder markers, are left out. */
export async function* listObjects(
  access: S3Access,
  prefix: string,
  { signal, startAfter = "" }: ListOptions,
): AsyncGenerator<ObjectInfo, void, undefined> {
  checkPrefix(prefix);
  const root = folder(access);
  const doing = `listing ${root}${prefix}`;
  const query = { Prefix: root + prefix, ...(startAfter === "" ? {} : { StartAfter: root + startAfter }) };
  let previous = "";
  for await (const { Contents = [] } of pages(access, query, { doing, signal })) {
    for (const {
      Key: key = "",
      Size: size = 0,
      LastModified: modified = new Date(0),
      ETag: etag,
    } of Contents) {
      const name = key.slice(root.length);
      if (!key.startsWith(root) || !isObjectName(name)) continue;
      if (name <= previous) throw untrustworthy(doing, `${name} is listed after ${previous}`);
      previous = name;
      // A store that ignores StartAfter lists all names.
      if (name > startAfter) yield { name, size, modified, ...(etag === undefined ? {} : { etag }) };
    }
  }
}

/** Store.folders on S3. */
export async function* listFolders(
  access: S3Access,
  prefix: string,
  { signal }: CallOptions,
): AsyncGenerator<string, void, undefined> {
  checkPrefix(prefix);
  const root = folder(access);
  const doing = `listing the folders of ${root}${prefix}`;
  const query = { Prefix: root + prefix, Delimiter: "/" };
  let previous = "";
  for await (const { CommonPrefixes = [] } of pages(access, query, { doing, signal })) {
    for (const { Prefix: key = "" } of CommonPrefixes) {
      const name = key.slice(root.length);
      if (!key.startsWith(root) || !isObjectName(name.slice(0, -1))) continue;
      if (name <= previous) throw untrustworthy(doing, `${name} is listed after ${previous}`);
      previous = name;
      yield name;
    }
  }
}

async function* pages(
  { client, call, options }: S3Access,
  query: Omit<ListObjectsV2CommandInput, "Bucket">,
  { doing, signal }: { doing: string; signal: AbortSignal },
): AsyncGenerator<ListObjectsV2CommandOutput, void, undefined> {
  let token: string | undefined;
  do {
    const command = new ListObjectsV2Command({
      Bucket: options.bucket,
      ...query,
      ...(token === undefined ? {} : { ContinuationToken: token }),
      ...(options.pageSize === undefined ? {} : { MaxKeys: options.pageSize }),
    });
    const page = await call(doing, (o) => client.send(command, o), { signal });
    yield page;
    token = page.NextContinuationToken;
    if (page.IsTruncated === true && token === undefined)
      throw untrustworthy(doing, "it is truncated without a continuation token");
  } while (token !== undefined);
}

export function untrustworthy(doing: string, how: string): OperatorError {
  return new OperatorError("StoreFailed", `${doing}: the store's listing cannot be trusted: ${how}`, {
    permanent: true,
  });
}

/** Store.sweep on S3. */
export async function sweepUploads(access: S3Access, prefix: string, options: SweepOptions): Promise<number> {
  checkPrefix(prefix);
  const { before, only = () => true, dryRun = false, onSwept } = options;
  const root = folder(access);
  let count = 0;
  for await (const { Key, UploadId, Initiated } of unfinishedUploads(access, prefix, options.signal)) {
    if (Key === undefined || Initiated === undefined || Initiated >= before) continue;
    const name = Key.slice(root.length);
    if (!only(name)) continue;
    if (!dryRun && !(await abortUpload(access, { Key, UploadId }, options))) continue;
    count += 1;
    onSwept?.({ name, begun: Initiated });
  }
  return count;
}

/** False when the upload was completed or aborted meanwhile. */
async function abortUpload(
  { call, client, options: { bucket: Bucket } }: S3Access,
  { Key, UploadId }: { Key: string; UploadId: string | undefined },
  { signal }: SweepOptions,
): Promise<boolean> {
  const command = new AbortMultipartUploadCommand({ Bucket, Key, UploadId });
  try {
    await call(`aborting an unfinished upload of ${Key}`, (o) => client.send(command, o), { signal });
    return true;
  } catch (error) {
    if (isNoSuchUpload(error)) return false;
    throw error;
  }
}

/**
 * MinIO compares the prefix of this listing with whole keys, and lists nothing for the beginning of a key. So after an
 * empty listing the whole bucket is listed, where that is permitted, and filtered here.
 */
async function* unfinishedUploads(
  access: S3Access,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<MultipartUpload, void, undefined> {
  const keyPrefix = folder(access) + prefix;
  let found = false;
  for await (const upload of uploadPages(access, keyPrefix, signal)) {
    found = true;
    yield upload;
  }
  if (found || keyPrefix === "") return;
  try {
    for await (const upload of uploadPages(access, "", signal)) {
      if (upload.Key?.startsWith(keyPrefix) === true) yield upload;
    }
  } catch (error) {
    if (!(error instanceof OperatorError && error.code === "Unauthorized")) throw error;
  }
}

async function* uploadPages(
  { client, call, options }: S3Access,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<MultipartUpload, void, undefined> {
  let marker: { KeyMarker?: string; UploadIdMarker?: string } = {};
  for (;;) {
    const command = new ListMultipartUploadsCommand({
      Bucket: options.bucket,
      ...(prefix === "" ? {} : { Prefix: prefix }),
      ...marker,
    });
    const page = await call(
      `listing unfinished uploads of ${prefix === "" ? options.bucket : prefix}`,
      (o) => client.send(command, o),
      { signal },
    );
    yield* page.Uploads ?? [];
    const { IsTruncated, NextKeyMarker, NextUploadIdMarker } = page;
    if (IsTruncated !== true || NextKeyMarker === undefined) return;
    marker = {
      KeyMarker: NextKeyMarker,
      ...(NextUploadIdMarker === undefined ? {} : { UploadIdMarker: NextUploadIdMarker }),
    };
  }
}
