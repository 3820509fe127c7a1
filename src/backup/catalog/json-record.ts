import { type DocumentSchema, findMismatch } from "../../core/check-schema.ts";
import { OperatorError } from "../../core/errors.ts";
import { isRecord } from "../../core/record.ts";
import type { CallOptions, Store } from "../../store/store.ts";
import { laterReleaseHint } from "../manifest/manifest.ts";

/** Bytes. A larger object is not a record, unless its reader allows more. */
const usualMaxSize = 64 * 1024;

/** The `formatVersion` of every record that this release writes, and the only one that it reads. */
const formatVersion = 1;

/**
 * Reads a small JSON object of the store. Undefined when it does not exist. Throws Refused for the record of a later
 * release, and VerificationFailed, with `hint`, for an object that does not match the schema.
 */
export async function readJsonRecord(
  store: Pick<Store, "get">,
  object: string,
  options: { schema: DocumentSchema; what: string; hint: string; maxSize?: number; signal: AbortSignal },
): Promise<unknown> {
  const { schema, what, hint, maxSize = usualMaxSize, signal } = options;
  const unreadable = (problem: string) =>
    new OperatorError("VerificationFailed", `${object} is not ${what}: ${problem}`, { hint });
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of store.get(object, { signal })) {
      size += chunk.length;
      if (size > maxSize) throw unreadable(`it has more than ${maxSize} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof OperatorError && error.code === "NotFound") return undefined;
    throw error;
  }
  let document: unknown;
  try {
    document = JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    throw unreadable("it is not JSON");
  }
  const version = isRecord(document) ? document["formatVersion"] : undefined;
  if (Number.isSafeInteger(version) && Number(version) > formatVersion)
    throw new OperatorError("Refused", `${object}: format version ${String(version)} is not supported`, {
      hint: laterReleaseHint,
    });
  const mismatch = version === formatVersion ? findMismatch(document, schema) : "it has no format version";
  if (mismatch !== undefined) throw unreadable(mismatch);
  return document;
}

/** What was read, or that it is damaged or of a later release, for a reader that goes on without it. */
export async function orUnusable<T>(read: Promise<T>): Promise<T | "unusable"> {
  try {
    return await read;
  } catch (error) {
    if (error instanceof OperatorError && ["VerificationFailed", "Refused"].includes(error.code))
      return "unusable";
    throw error;
  }
}

/** etcd's cluster ID in a record. */
export const clusterIdSchema = { type: "string", pattern: "^[0-9a-f]{1,16}$" } as const;

/** Puts a small JSON object with its format version. False when one of this name exists, which stays as it is. */
export async function putJsonRecord(
  store: Pick<Store, "put">,
  object: string,
  record: object,
  { signal }: CallOptions,
): Promise<boolean> {
  const bytes = Buffer.from(`${JSON.stringify({ formatVersion, ...record })}\n`);
  try {
    await store.put(object, [bytes], {
      signal,
      contentType: "application/json",
      storageClass: "Default",
    });
    return true;
  } catch (error) {
    if (error instanceof OperatorError && error.code === "AlreadyExists") return false;
    throw error;
  }
}
