import { type EtcdBackup, etcdBackupDefinition } from "../api/v1alpha1/etcd-backup.ts";
import { type EtcdBackupStore, etcdBackupStoreDefinition } from "../api/v1alpha1/etcd-backup-store.ts";
import {
  type EtcdBackupSchedule,
  etcdBackupScheduleDefinition,
} from "../api/v1alpha1/etcd-backup-schedule.ts";
import { type EtcdRestore, etcdRestoreDefinition } from "../api/v1alpha1/etcd-restore.ts";
import type { Log } from "../core/log.ts";
import type { KubeClient } from "../kube/client.ts";
import { type KubeObject, type ResourceKind, customResource } from "../kube/objects.ts";
import { type Cache, type ChangeHandler, startCache } from "../kube/watch/cache.ts";

/** The objects of one kind, watched in all namespaces or in some. */
export interface Informer<T> {
  readonly synced: Promise<unknown>;
  list(): T[];
  /** Calls the handler for each object that exists, then for each change, until the signal fires. */
  onChange(handler: ChangeHandler<T>, until?: AbortSignal): void;
}

export interface Informers {
  backups: Informer<EtcdBackup>;
  stores: Informer<EtcdBackupStore>;
  restores: Informer<EtcdRestore>;
  schedules: Informer<EtcdBackupSchedule>;
}

/** Watches all namespaces, or only those given. The watches end with `stack`. */
export function startInformers(
  client: KubeClient,
  options: { namespaces: string[]; log: Log; signal: AbortSignal; stack: AsyncDisposableStack },
): Informers {
  const { namespaces, log, signal, stack } = options;
  const scopes = namespaces.length === 0 ? [{}] : namespaces.map((namespace) => ({ namespace }));
  const informer = <T extends KubeObject>(kind: ResourceKind<T>): Informer<T> =>
    informerOf(scopes.map((scope) => stack.use(startCache(client, kind, { ...scope, log, signal }))));
  return {
    backups: informer<EtcdBackup>(customResource(etcdBackupDefinition)),
    stores: informer<EtcdBackupStore>(customResource(etcdBackupStoreDefinition)),
    restores: informer<EtcdRestore>(customResource(etcdRestoreDefinition)),
    schedules: informer<EtcdBackupSchedule>(customResource(etcdBackupScheduleDefinition)),
  };
}

function informerOf<T>(caches: readonly Cache<T>[]): Informer<T> {
  return {
    synced: Promise.all(caches.map((cache) => cache.synced)),
    list: () => caches.flatMap((cache) => cache.list()),
    onChange(handler, until) {
      for (const cache of caches) {
        const stop = cache.onChange(handler);
        until?.addEventListener("abort", stop, { once: true });
      }
    },
  };
}
