import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import { OperatorError } from "../../core/errors.ts";
import type { S3Access } from "./client.ts";
import { isNoSuchBucket } from "./errors.ts";

/** Store.remove on S3. Some stores answer 404 for an object that does not exist. */
export async function removeObject(access: S3Access, name: string, signal: AbortSignal): Promise<void> {
  const command = new DeleteObjectCommand({ Bucket: access.options.bucket, Key: access.key(name) });
  try {
    await access.call(`removing ${name}`, (o) => access.client.send(command, o), { signal });
  } catch (error) {
    const notFound = error instanceof OperatorError && error.code === "NotFound";
    if (!notFound || isNoSuchBucket(error)) throw error;
  }
}
