import { randomBytes, randomUUID } from "node:crypto";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import {
  type ListedHeartbeat,
  heartbeatTime,
  listHeartbeats,
  measureSilence,
  processSince,
  putHeartbeat,
  removeOldHeartbeats,
  storeTime,
} from "../../backup/catalog/writers.ts";
import { isCopy } from "../../core/backup/claim.ts";
import {
  type FreshNames,
  type Rival,
  type WriterStatus,
  firstWriter,
  newerOf,
  originalOf,
  renewed,
  writerOf,
} from "../../core/store/writer.ts";
import type { Store } from "../../store/store.ts";
import { keyOf } from "../reconciler.ts";
import type { StoreControllerDeps } from "./reconcile.ts";

export function freshNames(): FreshNames {
  return { id: randomUUID(), nonce: randomBytes(4).toString("hex") };
}

interface RenewOptions {
  /** Nobody has renewed the writer yet. */
  isNew: boolean;
  /** Called with the resource as it is once it names the renewal. Whatever fails after that, it must keep that name. */
  onAnnounced: (resource: EtcdBackupStore) => void;
  signal: AbortSignal;
}

/**
 * Renews the writer of the store: first in the resource, then in the store. So the resource of the operator that renews
 * never names an older renewal than the store holds, and one that does is a copy. The resource of a new writer names its
 * first renewal already. Resolves to the writer that this one is a copy of.
 */
export async function renewWriter(
  deps: Pick<StoreControllerDeps, "resources" | "holds" | "writers" | "log">,
  resource: EtcdBackupStore,
  store: Store,
  { isNew, onAnnounced, signal }: RenewOptions,
): Promise<ReturnType<typeof originalOf>> {
  const holdMs = deps.holds.durationMs;
  const fresh = freshNames();
  const key = keyOf(resource.metadata);
  const known = deps.writers.get(key);
  const before = newerOf(resource.status.writer ?? firstWriter(fresh), known);
  const since = known?.id === before.id ? known.since : undefined;
  const listed = await listHeartbeats(store, signal);
  const rival = await rivalOf(store, before, listed, signal);
  const writer = isNew ? before : renewed(before, { rival, since }, fresh);
  const announced = { ...resource, status: { ...resource.status, writer } };
  if (!isNew) await deps.resources.writeStoreStatus(resource, announced.status, signal);
  onAnnounced(announced);
  const identity = writerOf(announced);
  const begun = writer.id === before.id ? since : undefined;
  if (begun !== undefined) deps.writers.set(key, { ...writer, since: begun });
  await putHeartbeat(store, identity, { holdMs, since: begun }, signal);
  const first = begun ?? (await heartbeatTime(store, identity, signal));
  if (first !== undefined) deps.writers.set(key, { ...writer, since: first });
  await removeOldHeartbeats(store, identity, listed, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    deps.log.warn({ store: store.url, err: error }, "old signs of life cannot be deleted");
  });
  const ofOriginal = listed.filter(({ id }) => id === writer.copyOf);
  const silence =
    ofOriginal.length === 0
      ? []
      : await measureSilence(store, ofOriginal, await storeTime(store, signal), signal);
  return originalOf(writer, silence);
}

/** Who else renews the writer, by the newest renewal that this operator does not know. */
async function rivalOf(
  store: Store,
  writer: WriterStatus,
  listed: readonly ListedHeartbeat[],
  signal: AbortSignal,
): Promise<Rival | undefined> {
  const unknown = listed.filter((beat) => isCopy(writer, [beat]));
  const [newest] = unknown.toSorted((a, b) => b.renewal - a.renewal);
  if (newest === undefined) return undefined;
  return { renewal: newest.renewal, since: await processSince(store, newest, signal) };
}
