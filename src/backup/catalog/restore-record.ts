import { OperatorError } from "../../core/errors.ts";
import type { Store } from "../../store/store.ts";

/**
 * Records that one EtcdRestore has ended. The record is in the store because an API server that is restored from a
 * backup brings the EtcdRestore back as it was in that backup, unfinished.
 */
export interface RestoreRecord {
  formatVersion: 1;
  uid: string;
  namespace: string;
  name: string;
  /** The backup's name. */
  backup: string;
  target: string;
  token: string;
  /** RFC 3339. */
  completedAt: string;
}

/** Bytes. A larger object is not a record. */
const maxSize = 64 * 1024;

function restoreRecordObject(clusterName: string, uid: string): string {
  return `${clusterName}/restores/${uid}.json`;
}

/** Undefined when the store holds no record of this EtcdRestore. Throws VerificationFailed for another object. */
export async function readRestoreRecord(
  store: Pick<Store, "get">,
  at: { clusterName: string; uid: string; signal: AbortSignal },
): Promise<RestoreRecord | undefined> {
  const object = restoreRecordObject(at.clusterName, at.uid);
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of store.get(object, { signal: at.signal })) {
      size += chunk.length;
      if (size > maxSize) throw unreadable(object);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof OperatorError && error.code === "NotFound") return undefined;
    throw error;
  }
  try {
    const record = JSON.parse(Buffer.concat(chunks).toString("utf8")) as Partial<RestoreRecord>;
    if (record.formatVersion === 1 && typeof record.completedAt === "string") return record as RestoreRecord;
  } catch {
    // It is not JSON, and is reported below.
  }
  throw unreadable(object);
}

function unreadable(object: string): OperatorError {
  return new OperatorError("VerificationFailed", `${object} is not a record of a restore`, {
    hint: "inspect the object, and delete it if the restore has to run",
  });
}

/** Writes the record. Keeps an existing one: an earlier call wrote it, and its answer was lost. */
export async function writeRestoreRecord(
  store: Pick<Store, "put">,
  clusterName: string,
  record: RestoreRecord,
  signal: AbortSignal,
): Promise<void> {
  const bytes = Buffer.from(`${JSON.stringify(record)}\n`);
  try {
    await store.put(restoreRecordObject(clusterName, record.uid), [bytes], {
      contentType: "application/json",
      storageClass: "Default",
      signal,
    });
  } catch (error) {
    if (!(error instanceof OperatorError) || error.code !== "AlreadyExists") throw error;
  }
}
