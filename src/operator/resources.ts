import { type EtcdBackup, etcdBackupDefinition } from "../api/v1alpha1/etcd-backup.ts";
import { etcdBackupStoreDefinition } from "../api/v1alpha1/etcd-backup-store.ts";
import { etcdBackupScheduleDefinition } from "../api/v1alpha1/etcd-backup-schedule.ts";
import { etcdRestoreDefinition } from "../api/v1alpha1/etcd-restore.ts";
import type { BackupResources } from "../controllers/backup/context.ts";
import type { RestoreResources } from "../controllers/restore/context.ts";
import type { ScheduleResources } from "../controllers/schedule/context.ts";
import type { RecordResources } from "../controllers/store/records.ts";
import type { HoldDeps } from "../controllers/store/holds.ts";
import type { StoreResources } from "../controllers/store/reconcile.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Fence } from "../kube/leader/fence.ts";
import { needsStore } from "../core/store/guard.ts";
import { type Draft, customResource, namespaces, secrets } from "../kube/objects.ts";
import { createOnce, findWorkload, podSummaries, workload } from "../kube/workloads.ts";

const backupKind = customResource(etcdBackupDefinition);
const storeKind = customResource(etcdBackupStoreDefinition);
const restoreKind = customResource(etcdRestoreDefinition);
const scheduleKind = customResource(etcdBackupScheduleDefinition);

export interface OperatorResources
  extends BackupResources,
    RestoreResources,
    RecordResources,
    ScheduleResources,
    StoreResources {
  replaceStoreStatus: HoldDeps["resources"]["replaceStoreStatus"];
}

/**
 * Reads and writes the resources for the controllers. Reads go to the API server, so no decision depends on a stale
 * copy. Every write first checks the fence, so an operator that lost its Lease writes nothing.
 */
export function operatorResources(client: KubeClient, fence: Pick<Fence, "check">): OperatorResources {
  return {
    ...recordResources(client, fence),
    ...backupResources(client, fence),
    ...storeResources(client, fence),
    ...scheduleResources(client, fence),
    ...restoreResources(client, fence),
  };
}

type Fencing = Pick<Fence, "check">;

function backupResources(client: KubeClient, fence: Fencing): BackupResources {
  return {
    backup: (request, signal) => client.get(backupKind, request, { signal }),
    store: (request, signal) => client.get(storeKind, request, { signal }),
    async writeStatus({ metadata }, status, signal) {
      fence.check();
      await client.applyStatus(backupKind, refOf(metadata), { uid: metadata.uid, status }, { signal });
    },
    async writeFinalizers({ metadata }, finalizers, signal) {
      fence.check();
      const { resourceVersion } = metadata;
      await client.patchMetadata(backupKind, refOf(metadata), { resourceVersion, finalizers }, { signal });
    },
    async writeStoreFinalizers({ metadata }, finalizers, signal) {
      fence.check();
      const { resourceVersion } = metadata;
      await client.patchMetadata(storeKind, refOf(metadata), { resourceVersion, finalizers }, { signal });
    },
    async isTerminating(name, signal) {
      const namespace = await client.get(namespaces, { name }, { signal });
      return namespace?.metadata.deletionTimestamp !== undefined;
    },
    hasSecret: async (request, signal) => (await client.get(secrets, request, { signal })) !== undefined,
  };
}

type OwnOfStores = Omit<StoreResources, "store" | "writeStoreFinalizers"> &
  Pick<OperatorResources, "replaceStoreStatus">;

function storeResources(client: KubeClient, fence: Fencing): OwnOfStores {
  return {
    async countBackupsNeeding({ namespace, name }, signal) {
      const { items } = await client.list(backupKind, { namespace, signal });
      return items.filter((backup) => backup.spec.storeRef.name === name && needsStore(backup)).length;
    },
    async writeStoreStatus({ metadata }, status, signal) {
      fence.check();
      await client.applyStatus(storeKind, refOf(metadata), { uid: metadata.uid, status }, { signal });
    },
    async replaceStoreStatus({ metadata }, status, signal) {
      fence.check();
      const { resourceVersion } = metadata;
      return client.applyStatus(storeKind, refOf(metadata), { resourceVersion, status }, { signal });
    },
  };
}

function scheduleResources(client: KubeClient, fence: Fencing): Omit<ScheduleResources, "backup" | "store"> {
  return {
    schedule: (request, signal) => client.get(scheduleKind, request, { signal }),
    async writeScheduleStatus({ metadata }, status, signal) {
      fence.check();
      await client.applyStatus(scheduleKind, refOf(metadata), { uid: metadata.uid, status }, { signal });
    },
    async createBackup(draft, signal) {
      fence.check();
      return createOnce(client, backupKind, draft, { signal });
    },
    async removeBackup({ metadata }, signal) {
      fence.check();
      await client.remove(backupKind, refOf(metadata), { uid: metadata.uid, signal });
    },
  };
}

function restoreResources(client: KubeClient, fence: Fencing): Omit<RestoreResources, "backup" | "store"> {
  return {
    restore: (request, signal) => client.get(restoreKind, request, { signal }),
    async writeRestoreStatus({ metadata }, status, signal) {
      fence.check();
      await client.applyStatus(restoreKind, refOf(metadata), { uid: metadata.uid, status }, { signal });
    },
    async create(kind, object, signal) {
      fence.check();
      return createOnce(client, workload(kind), object, { signal });
    },
    async find(kind, at, signal) {
      const found = await findWorkload(client, kind, at, { signal });
      if (found === undefined) return undefined;
      const { succeeded = 0, failed = 0, readyReplicas = 0 } = found.status ?? {};
      return { labels: found.metadata.labels ?? {}, succeeded, failed, readyReplicas };
    },
    pods: (namespace, labels, signal) => podSummaries(client, { namespace, labels }, { signal }),
  };
}

function recordResources(client: KubeClient, fence: Pick<Fence, "check">): Omit<RecordResources, "backup"> {
  return {
    async createRecord({ namespace, name, labels, store, clusterName, backup }, signal) {
      fence.check();
      const spec = { clusterName, storeRef: { name: store }, imported: { backup } };
      const draft = { metadata: { namespace, name, labels }, spec } as Draft<EtcdBackup>;
      return createOnce(client, backupKind, draft, { signal });
    },
    async removeRecord({ namespace, name, uid }, signal) {
      fence.check();
      await client.remove(backupKind, { namespace, name }, { uid, signal });
    },
  };
}

function refOf({ namespace, name }: { namespace?: string; name: string }) {
  return namespace === undefined ? { name } : { namespace, name };
}
