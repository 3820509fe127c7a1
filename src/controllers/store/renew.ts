import { randomBytes, randomUUID } from "node:crypto";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import {
  listHeartbeats,
  measureSilence,
  putHeartbeat,
  removeOldHeartbeats,
  storeTime,
} from "../../backup/catalog/writers.ts";
import {
  type FreshNames,
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

/**
 * Renews the writer of the store: first in the resource, then in the store. So the resource of the operator that renews
 * never names an older renewal than the store holds, and one that does is a copy. The resource of a new writer names its
 * first renewal already. Resolves to the resource as it is now.
 */
export async function renewWriter(
  deps: Pick<StoreControllerDeps, "resources" | "holds" | "writers">,
  resource: EtcdBackupStore,
  store: Store,
  { isNew, signal }: { isNew: boolean; signal: AbortSignal },
): Promise<{ resource: EtcdBackupStore; original: ReturnType<typeof originalOf> }> {
  const holdMs = deps.holds.durationMs;
  const fresh = freshNames();
  const key = keyOf(resource.metadata);
  const before = newerOf(resource.status.writer ?? firstWriter(fresh), deps.writers.get(key));
  const listed = await listHeartbeats(store, signal);
  const own = listed.map(({ id, renewal, nonce }) => ({ id, renewal, nonce, silentMs: 0, holdMs }));
  const writer = isNew ? before : renewed(before, own, fresh);
  const announced = { ...resource, status: { ...resource.status, writer } };
  if (!isNew) await deps.resources.writeStoreStatus(resource, announced.status, signal);
  deps.writers.set(key, writer);
  const identity = writerOf(announced);
  await putHeartbeat(store, identity, holdMs, signal);
  await removeOldHeartbeats(store, identity, listed, signal);
  const ofOriginal = listed.filter(({ id }) => id === writer.copyOf);
  const silence =
    ofOriginal.length === 0
      ? []
      : await measureSilence(store, ofOriginal, await storeTime(store, signal), signal);
  return { resource: announced, original: originalOf(writer, silence) };
}
