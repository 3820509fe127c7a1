import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import type { BackupEvent } from "../../api/v1alpha1/events.ts";
import { decide } from "../../core/backup/decide.ts";
import type { ObservedBackup } from "../../core/backup/observed.ts";
import { turnKeyOf } from "../../core/backup/turn.ts";
import { isGuarded } from "../../core/store/guard.ts";
import { eventsOf } from "../events.ts";
import { leaveToHolder, leavingLineOnError } from "../leave.ts";
import { type Reconcile, keyOf, requestOf } from "../reconciler.ts";
import { actOnBackup } from "./act.ts";
import type { BackupContext, BackupControllerDeps } from "./context.ts";
import { lookUpImported } from "./import.ts";
import { type FolderLooks, lookAtFolder, lookUpStored } from "./recover.ts";

/** Reconciles one EtcdBackup: observe → decide → act. */
export function backupReconciler(deps: BackupControllerDeps): Reconcile {
  return leavingLineOnError(deps.admission, reconcilePass(deps));
}

function reconcilePass(deps: BackupControllerDeps): Reconcile {
  const folderLooks: FolderLooks = new Map();
  return async (request, signal) => {
    const key = keyOf(request);
    const backup = await deps.resources.backup(request, signal);
    if (backup === undefined) {
      deps.admission.leaveLine(key);
      await deps.runs.cancel(key, "the EtcdBackup was deleted");
      deps.holds.keep("EtcdBackup", request);
      return undefined;
    }
    await deps.runs.cancelOthers(key, backup.metadata.uid);
    const storeRequest = { namespace: request.namespace, name: backup.spec.storeRef.name };
    const read = await deps.resources.store(storeRequest, signal);
    const held = read === undefined ? undefined : await deps.holds.hold(read, signal);
    if (held?.is === "foreign") return leaveToHolder(deps, backup, held);
    deps.holds.keep("EtcdBackup", request);
    const store = held?.store;
    const events = eventsOf<BackupEvent>(deps.events, backup, "Backup");
    const deletionEvents = eventsOf<BackupEvent>(deps.events, backup, "Delete");
    const turn = turnKeyOf(backup);
    const context: BackupContext = {
      ...deps,
      folderLooks,
      backup,
      store,
      key,
      turn,
      events,
      deletionEvents,
      signal,
    };
    let observed = await observe(context);
    let decision = decide(observed, deps.now());
    if (decision.do === "lookUpStored") {
      observed = { ...observed, stored: await lookUpStored(context) };
      decision = decide(observed, deps.now());
    } else if (decision.do === "lookUpImported") {
      observed = { ...observed, stored: await lookUpImported(context, decision.name) };
      decision = decide(observed, deps.now());
    }
    if (decision.do === "lookAtFolder") {
      observed = { ...observed, folder: await lookAtFolder(context) };
      decision = decide(observed, deps.now());
    }
    deps.log.debug({ backup: key, decision: decision.do }, "decided");
    return actOnBackup(context, observed, decision);
  };
}

function stateOf(store: EtcdBackupStore | undefined): ObservedBackup["store"] {
  if (store === undefined) return "missing";
  if (store.spec.accessMode === "ReadOnly") return "readOnly";
  if (store.metadata.deletionTimestamp !== undefined) return "deleting";
  return store.status.writer === undefined ? "notProbed" : "found";
}

async function observe(context: BackupContext): Promise<ObservedBackup> {
  const { backup, store, admission, runs, key, turn } = context;
  const run = await runs.view(key, backup.metadata.uid);
  // Last, since another EtcdBackup may take a slot while the run is observed.
  const { behind, ...slot } = admission.slotFor(key, turn);
  return {
    backup,
    store: stateOf(store),
    folder: { state: "notAsked" },
    isStoreGuarded: store !== undefined && isGuarded(store),
    run,
    stored: { state: "notAsked" },
    ...slot,
    ...(behind === undefined ? {} : { behind: shownTo(key, behind) }),
  };
}

/** A tenant is not told the names of another. */
function shownTo(key: string, other: string): { name?: string } {
  const { namespace, name } = requestOf(other);
  return namespace === requestOf(key).namespace ? { name } : {};
}
