import type { Allocate } from "../parts/buffers.ts";
import { type S3Options, connectS3 } from "./client.ts";
import { dialectOf } from "./dialect.ts";
import { listFolders, listObjects, sweepUploads } from "./list.ts";
import { probeBucket } from "./probe.ts";
import { type S3PutContext, putObject } from "./put.ts";
import { headObject, readObject } from "./read.ts";
import { removeObject, takeBackObject } from "./remove.ts";
import type { Store } from "../store.ts";

/** A store in a bucket of S3 or of a compatible store. Sends nothing before the first call. */
export function createS3Store(options: S3Options, testing: { allocate?: Allocate } = {}): Store {
  const access = connectS3(options);
  const url = `s3://${options.bucket}${options.prefix === "" ? "" : `/${options.prefix}`}`;
  const context: S3PutContext = { access, dialect: dialectOf(options), ...testing };
  return {
    url,
    location: access.endpoint === undefined ? url : `${url}?endpoint=${inQuery(access.endpoint)}`,
    probe: (call) => probeBucket(context, call),
    put: (name, source, call) => putObject(context, name, source, call),
    get: (name, call) => readObject(access, name, call),
    async head(name, { signal }) {
      const found = await headObject(access, name, signal);
      if (found === undefined) return undefined;
      const { metadata: _, ...info } = found;
      return info;
    },
    list: (prefix, call) => listObjects(access, prefix, call),
    folders: (folder, call) => listFolders(access, folder, call),
    remove: (name, { signal, hideLocked }) =>
      (hideLocked === true ? takeBackObject : removeObject)(context, name, signal),
    sweep: (prefix, call) => sweepUploads(access, prefix, call),
    [Symbol.asyncDispose]: () => access[Symbol.asyncDispose](),
  };
}

/** The text as the value of a query, in which `:` and `/` may stay readable (RFC 3986, section 3.4). */
function inQuery(text: string): string {
  return encodeURIComponent(text).replaceAll("%3A", ":").replaceAll("%2F", "/");
}
