import type { EtcdRestoreStatus } from "../../api/v1alpha1/etcd-restore.ts";
import { writeRestoreRecord } from "../../backup/catalog/restore-record.ts";
import { OperatorError, asOperatorError } from "../../core/errors.ts";
import { afterUnrecordedEnd } from "../../core/restore/decide.ts";
import { endNotRecorded, endRecorded } from "../../core/restore/status.ts";
import type { Result } from "../reconciler.ts";
import { type RestoreContext, writeRestoreStatus } from "./context.ts";
import { introduceCluster } from "./introduce.ts";
import { storeOfSource } from "./source.ts";

/** Milliseconds. A store that does not answer holds a worker for no longer. */
const timeoutMs = 30_000;

/**
 * Records the end of a proved restore in the store. An API server that is restored to a state before this end brings
 * the EtcdRestore back as unfinished, and the record keeps it from running again. A failure changes nothing of the
 * outcome: the operator tries again, `recordAttempts` times in all.
 */
export async function recordEnd(context: RestoreContext): Promise<Result> {
  const { restore, runs, key, now, signal, events, log } = context;
  await runs.forget(key);
  const error = await tryToRecord(context);
  signal.throwIfAborted();
  if (error === undefined) {
    await writeRestoreStatus(context, endRecorded(restore));
    return undefined;
  }
  const next = afterUnrecordedEnd(restore, error, now());
  await writeRestoreStatus(context, endNotRecorded(restore, next));
  // A person has made the store ReadOnly, so there is nothing to warn of.
  const isReadOnly = error.code === "Refused";
  if (!isReadOnly) events.warning("EndNotRecorded", next.message);
  const note = "the end of the restore is not recorded in the store";
  if (isReadOnly) log.info({ restore: key }, note);
  else log.warn({ restore: key, err: error }, note);
  return next.at === undefined ? undefined : { againAfterMs: next.at.getTime() - now().getTime() };
}

async function tryToRecord(context: RestoreContext): Promise<OperatorError | undefined> {
  const { restore, signal: cancelled } = context;
  const { source, completionTime } = restore.status;
  if (source === undefined || completionTime === undefined)
    return new OperatorError("Internal", "the restore has no source or no completionTime in its status");
  const signal = AbortSignal.any([cancelled, AbortSignal.timeout(timeoutMs)]);
  try {
    await write(context, { source, completionTime, signal });
    return undefined;
  } catch (thrown) {
    return asOperatorError(thrown);
  }
}

async function write(
  context: RestoreContext,
  end: {
    source: NonNullable<EtcdRestoreStatus["source"]>;
    completionTime: string;
    signal: AbortSignal;
  },
): Promise<void> {
  const { restore, resources } = context;
  const { source, completionTime, signal } = end;
  const { uid, name, namespace = "default" } = restore.metadata;
  const store = await storeOfSource(restore, resources, signal);
  if (store.spec.accessMode === "ReadOnly")
    throw new OperatorError("Refused", `EtcdBackupStore ${store.metadata.name} has accessMode ReadOnly`);
  await using opened = await context.openStore(store, signal);
  const entry = {
    formatVersion: 1 as const,
    uid,
    namespace,
    name,
    backup: source.name,
    target: restore.spec.target.cluster.name,
    token: restore.status.token ?? "",
    completedAt: completionTime,
  };
  await introduceCluster(opened, restore, signal);
  await writeRestoreRecord(opened, source.clusterName, entry, signal);
}
