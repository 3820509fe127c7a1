import type { Store } from "../../store/store.ts";
import { putJsonRecord, readJsonRecord } from "./json-record.ts";

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

const restoreRecordSchema = {
  type: "object",
  required: ["completedAt"],
  properties: { completedAt: { type: "string", maxLength: 64 } },
} as const;

function restoreRecordObject(clusterName: string, uid: string): string {
  return `${clusterName}/restores/${uid}.json`;
}

/** Undefined when the store holds no record of this EtcdRestore. Throws VerificationFailed for another object. */
export async function readRestoreRecord(
  store: Pick<Store, "get">,
  at: { clusterName: string; uid: string; signal: AbortSignal },
): Promise<RestoreRecord | undefined> {
  const document = await readJsonRecord(store, restoreRecordObject(at.clusterName, at.uid), {
    schema: restoreRecordSchema,
    what: "a record of a restore",
    hint: "inspect the object, and delete it if the restore has to run",
    signal: at.signal,
  });
  return document as RestoreRecord | undefined;
}

/** Writes the record. Keeps an existing one: an earlier call wrote it, and its answer was lost. */
export async function writeRestoreRecord(
  store: Pick<Store, "put">,
  clusterName: string,
  record: RestoreRecord,
  signal: AbortSignal,
): Promise<void> {
  await putJsonRecord(store, restoreRecordObject(clusterName, record.uid), record, { signal });
}
