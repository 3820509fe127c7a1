import {
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  S3Client,
  paginateListObjectsV2,
} from "@aws-sdk/client-s3";
import type { S3Options } from "../../src/store/s3/client.ts";
import { createS3Store } from "../../src/store/s3/s3-store.ts";
import type { StoreUnderTest } from "../../src/store/contract/support.fixture.ts";
import type { S3Server } from "../harness/s3-server.ts";

export const smallestPart = 5 * 1024 * 1024;

/** Options of a store in a bucket of a server, with the smallest parts that S3 allows. */
export function optionsFor(server: S3Server, bucket: string): S3Options {
  const { endpoint, region, accessKeyId, secretAccessKey } = server;
  return {
    bucket,
    prefix: "some/folder",
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    partSize: smallestPart,
  };
}

/** A client that bypasses the store, to inspect and change what is in a bucket. */
export function rawClient(
  server: Pick<S3Server, "endpoint" | "region" | "accessKeyId" | "secretAccessKey">,
): S3Client {
  const { endpoint, region, accessKeyId, secretAccessKey } = server;
  return new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
}

/** Keys of all objects in a bucket that begin with the prefix. */
export async function objectKeys(client: S3Client, bucket: string, prefix = ""): Promise<string[]> {
  const keys: string[] = [];
  for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix }))
    keys.push(...Contents.map(({ Key = "" }) => Key));
  return keys;
}

/** Keys of unfinished multipart uploads in a bucket. */
export async function unfinishedUploads(client: S3Client, bucket: string): Promise<string[]> {
  const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
  return (Uploads ?? []).map(({ Key = "" }) => Key);
}

/** The store takes `changes` in place of the usual options. */
export async function storeUnderTest(
  server: S3Server,
  bucket: string,
  changes: Partial<S3Options> = {},
): Promise<StoreUnderTest> {
  await server.createBucket(bucket);
  const options = { ...optionsFor(server, bucket), ...changes };
  const client = rawClient(server);
  const store = createS3Store(options);
  return {
    store,
    partSize: smallestPart,
    reopen: async () => createS3Store(options),
    async leaveUnfinished(name) {
      await client.send(
        new CreateMultipartUploadCommand({ Bucket: bucket, Key: `${options.prefix}/${name}` }),
      );
    },
    unfinished: () => unfinishedUploads(client, bucket),
    async [Symbol.asyncDispose]() {
      client.destroy();
      await store[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}
