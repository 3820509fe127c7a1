import type { EtcdBackup } from "../../api/v1alpha1/etcd-backup.ts";
import type { EtcdRestore } from "../../api/v1alpha1/etcd-restore.ts";
import { isFinished } from "../conditions.ts";

/**
 * The backups that an EtcdRestore reads, or is about to read, in the folder of `newest`, each with the reason to keep it. In
 * another namespace only a restore counts that the operator has verified against this very folder, so that naming a backup
 * is not enough to keep it. `children`: the EtcdBackups of the schedule.
 */
export function backupsInUse(
  restores: readonly EtcdRestore[],
  { newest, children }: { newest: EtcdBackup; children: readonly EtcdBackup[] },
): Map<string, string> {
  const { namespace } = newest.metadata;
  const folder = folderOf(newest.status.artifact?.url);
  const inUse = new Map<string, string>();
  for (const restore of restores) {
    if (isFinished(restore)) continue;
    const { source } = restore.status;
    const isOwn = restore.metadata.namespace === namespace;
    const isHere = source !== undefined && folderOf(source.url) === folder;
    const name =
      source === undefined && isOwn ? wantedBy(restore, children) : isHere ? source?.name : undefined;
    if (name !== undefined)
      inUse.set(name, isOwn ? `EtcdRestore ${restore.metadata.name} reads it` : "an EtcdRestore reads it");
  }
  return inUse;
}

/** The backup that a restore names which has not been verified yet. `latest` stays without that. */
function wantedBy({ spec: { source } }: EtcdRestore, children: readonly EtcdBackup[]): string | undefined {
  if (source.store !== undefined) return source.store.backup;
  return children.find(({ metadata }) => metadata.name === source.backupRef?.name)?.status.artifact?.name;
}

function folderOf(url: string | undefined): string | undefined {
  return url?.slice(0, url.lastIndexOf("/"));
}
