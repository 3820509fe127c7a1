import { OperatorError } from "../../core/errors.ts";
import type { Store } from "../../store/store.ts";

/**
 * The end of one EtcdRestore, kept where no restore can roll it back: an API server that comes back from a backup
 * brings the EtcdRestore back as it was before.
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

/** Bytes. */
const maxSize = 64 * 1024;

export function restoreRecordObject(clusterName: string, uid: string): string {
  return `${clusterName}/restores/${uid}.json`;
}

/** Undefined when this EtcdRestore has not ended yet, as far as the store knows. */
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
    // Said below.
  }
  throw unreadable(object);
}

function unreadable(object: string): OperatorError {
  return new OperatorError("VerificationFailed", `${object} is not a record of a restore`, {
    hint: "look at it, and remove it if the restore has to run",
  });
}

/** Written once; that it is there already is as good. */
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
