import { finalizer } from "../../core/backup/decide.ts";
import { OperatorError, asOperatorError } from "../../core/errors.ts";
import { storeFinalizer } from "../../core/store/guard.ts";
import { type Result, keyOf } from "../reconciler.ts";
import type { BackupContext } from "./context.ts";

/**
 * Adds the finalizer under the mutex of the store. So the store controller either counts this EtcdBackup before it
 * releases the store, or has released it already, and the next pass guards it again before an attempt begins.
 */
export async function addFinalizer({ backup, guards, resources, signal }: BackupContext): Promise<Result> {
  const { namespace = "", finalizers = [] } = backup.metadata;
  const release = await guards.acquire(keyOf({ namespace, name: backup.spec.storeRef.name }), signal);
  try {
    await resources.writeFinalizers(backup, [...finalizers, finalizer], signal);
  } finally {
    release();
  }
  return { againAfterMs: 0 };
}

/** Adds the finalizer of the store. The next pass sees whether it is there. */
export async function guardStore({ store, resources, signal }: BackupContext): Promise<Result> {
  if (store === undefined) throw new OperatorError("Internal", "there is no EtcdBackupStore to guard");
  try {
    const others = store.metadata.finalizers ?? [];
    await resources.writeStoreFinalizers(store, [...others, storeFinalizer], signal);
  } catch (error) {
    // Another EtcdBackup added it, or the store controller wrote its status.
    if (asOperatorError(error).code !== "Conflict") throw error;
  }
  return { againAfterMs: 0 };
}
