import { parseBackupName } from "../core/backup-name.ts";
import type { Store } from "../store/store.ts";
import { findBackup } from "./catalog.ts";
import type { Manifest } from "./manifest.ts";

interface RunQuery {
  clusterName: string;
  /** What the run's identity begins with: the resource it was for. */
  runPrefix: string;
  signal: AbortSignal;
}

/** Whole backups that were made for one resource, by whichever operator. */
export async function findBackupsOfRun(
  store: Pick<Store, "list" | "get" | "url">,
  { uid, ...query }: RunQuery & { uid: string },
): Promise<Manifest[]> {
  const found: Manifest[] = [];
  for (const { backup } of await objectsOf(store, query)) {
    if (backup === undefined) continue;
    const { manifest } = await findBackup(store, { name: backup, ...query });
    if (manifest.owner?.uid === uid) found.push(manifest);
  }
  return found;
}

/** Removes everything that was stored for one resource: manifests first, so that no listing shows half a backup. */
export async function removeRun(store: Pick<Store, "list" | "remove">, query: RunQuery): Promise<void> {
  const objects = await objectsOf(store, query);
  const [manifests, data] = [
    objects.filter((o) => o.backup !== undefined),
    objects.filter((o) => o.backup === undefined),
  ];
  for (const { name } of [...manifests, ...data]) await store.remove(name, { signal: query.signal });
}

/** Aborts what an earlier attempt of this resource left half-uploaded. */
export async function sweepRun(
  store: Pick<Store, "sweep">,
  { clusterName, runPrefix, before, signal }: RunQuery & { before: Date },
): Promise<number> {
  return store.sweep(`${clusterName}/`, {
    before,
    only: (name) => isDataOf(name.slice(clusterName.length + 1), runPrefix),
    signal,
  });
}

/** `<time>-<run id>.db[.zst]` */
function isDataOf(base: string, runPrefix: string): boolean {
  return base.split(".")[0]?.split("-")[1]?.startsWith(runPrefix) === true;
}

async function objectsOf(
  store: Pick<Store, "list">,
  { clusterName, runPrefix, signal }: RunQuery,
): Promise<{ name: string; backup?: string }[]> {
  const objects: { name: string; backup?: string }[] = [];
  for await (const { name } of store.list(`${clusterName}/`, { signal })) {
    const base = name.slice(clusterName.length + 1);
    const manifest = base.endsWith(".json") ? parseBackupName(base.slice(0, -5)) : undefined;
    if (manifest?.runId.startsWith(runPrefix) === true) objects.push({ name, backup: base.slice(0, -5) });
    else if (isDataOf(base, runPrefix)) objects.push({ name });
  }
  return objects;
}
