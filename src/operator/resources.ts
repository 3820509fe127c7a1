import { type EtcdBackup, etcdBackupDefinition } from "../api/v1alpha1/etcd-backup.ts";
import { type EtcdBackupStore, etcdBackupStoreDefinition } from "../api/v1alpha1/etcd-backup-store.ts";
import { type EtcdRestore, etcdRestoreDefinition } from "../api/v1alpha1/etcd-restore.ts";
import type { BackupResources } from "../controllers/backup/context.ts";
import type { ConnectionReader } from "./connection.ts";
import type { RestoreResources } from "../controllers/restore/context.ts";
import { podIPs, serviceIPs } from "../kube/addresses.ts";
import { type Cache, type ChangeHandler, startCache } from "../kube/watch/cache.ts";
import type { KubeClient } from "../kube/client.ts";
import { type KubeObject, type ResourceKind, customResource } from "../kube/objects.ts";
import { readSecret } from "../kube/secrets.ts";
import { createOnce, findWorkload, podSights } from "../kube/workloads.ts";
import type { Log } from "../controllers/reconciler.ts";

const backupKind = customResource(etcdBackupDefinition);
const storeKind = customResource(etcdBackupStoreDefinition);
const restoreKind = customResource(etcdRestoreDefinition);

/** The custom resources as the operator reads and writes them. Reads are live: a decision never rests on a stale copy. */
export function operatorResources(client: KubeClient): BackupResources &
  RestoreResources & {
    writeStoreStatus(
      store: EtcdBackupStore,
      status: EtcdBackupStore["status"],
      signal: AbortSignal,
    ): Promise<void>;
  } {
  return {
    restore: (request, signal) => client.get(restoreKind, request, { signal }),
    async writeRestoreStatus({ metadata }, status, signal) {
      await client.applyStatus(restoreKind, refOf(metadata), { uid: metadata.uid, status }, { signal });
    },
    async find(kind, at, signal) {
      const found = await findWorkload(client, kind, at, { signal });
      if (found === undefined) return undefined;
      const { succeeded = 0, failed = 0, readyReplicas = 0 } = found.status ?? {};
      return { labels: found.metadata.labels ?? {}, succeeded, failed, readyReplicas };
    },
    create: (kind, object, signal) => createOnce(client, kind, object, { signal }),
    pods: (namespace, labels, signal) => podSights(client, { namespace, labels }, { signal }),
    backup: (request, signal) => client.get(backupKind, request, { signal }),
    store: (request, signal) => client.get(storeKind, request, { signal }),
    async writeStatus({ metadata }, status, signal) {
      await client.applyStatus(backupKind, refOf(metadata), { uid: metadata.uid, status }, { signal });
    },
    async writeFinalizers({ metadata }, finalizers, signal) {
      const { resourceVersion } = metadata;
      await client.patchMetadata(backupKind, refOf(metadata), { resourceVersion, finalizers }, { signal });
    },
    async writeStoreStatus({ metadata }, status, signal) {
      await client.applyStatus(storeKind, refOf(metadata), { uid: metadata.uid, status }, { signal });
    },
  };
}

function refOf({ namespace, name }: { namespace?: string; name: string }) {
  return namespace === undefined ? { name } : { namespace, name };
}

export function connectionReader(client: KubeClient): ConnectionReader {
  return {
    secret: (namespace, name, signal) => readSecret(client, namespace, name, { signal }),
    podIPs: (namespace, labels, signal) => podIPs(client, namespace, labels, { signal }),
    serviceIPs: (namespace, name, signal) => serviceIPs(client, namespace, name, { signal }),
  };
}

/** What wakes the controllers. */
export interface WatchedResources {
  readonly synced: Promise<unknown>;
  backups(): EtcdBackup[];
  stores(): EtcdBackupStore[];
  restores(): EtcdRestore[];
  /** Tells of what is there at once, then of every change, until the signal fires. */
  onBackup(handler: (key: string, backup: EtcdBackup | undefined) => void, until?: AbortSignal): void;
  onStore(handler: (key: string, store: EtcdBackupStore | undefined) => void, until?: AbortSignal): void;
  onRestore(handler: (key: string, restore: EtcdRestore | undefined) => void, until?: AbortSignal): void;
}

/** Watches all namespaces, or only those given. The caches end with `stack`. */
export function watchResources(
  client: KubeClient,
  {
    namespaces,
    log,
    signal,
    stack,
  }: { namespaces: string[]; log: Log; signal: AbortSignal; stack: AsyncDisposableStack },
): WatchedResources {
  const scopes = namespaces.length === 0 ? [{}] : namespaces.map((namespace) => ({ namespace }));
  const cachesOf = <T extends KubeObject>(kind: ResourceKind<T>): Cache<T>[] =>
    scopes.map((scope) => stack.use(startCache(client, kind, { ...scope, log, signal })));
  const backups = cachesOf<EtcdBackup>(backupKind);
  const stores = cachesOf<EtcdBackupStore>(storeKind);
  const restores = cachesOf<EtcdRestore>(restoreKind);
  return {
    synced: Promise.all([...backups, ...stores, ...restores].map((cache) => cache.synced)),
    backups: () => backups.flatMap((cache) => cache.list()),
    stores: () => stores.flatMap((cache) => cache.list()),
    restores: () => restores.flatMap((cache) => cache.list()),
    onBackup: (handler, until) => backups.forEach((cache) => follow(cache, handler, until)),
    onStore: (handler, until) => stores.forEach((cache) => follow(cache, handler, until)),
    onRestore: (handler, until) => restores.forEach((cache) => follow(cache, handler, until)),
  };
}

function follow<T>(cache: Cache<T>, handler: ChangeHandler<T>, until?: AbortSignal): void {
  const stop = cache.onChange(handler);
  until?.addEventListener("abort", stop, { once: true });
}
