import { settleHint } from "../core/backup/claim.ts";
import { formatTime } from "../core/backup/name.ts";
import { OperatorError } from "../core/errors.ts";
import type { Store } from "../store/store.ts";
import type { StoredClaim } from "./catalog/claim.ts";
import { isSince, sinceOf } from "./catalog/latest.ts";
import { type ListedManifest, type Listing, listingOf, readEntry } from "./catalog/listing.ts";

const dayMs = 24 * 3_600_000;
/** How far back the names are listed, until a backup of the etcd cluster is found: a folder may hold many thousands. */
const lookBackMs = [7 * dayMs, 70 * dayMs, Number.POSITIVE_INFINITY];
/** Manifests that one look reads. More than these are of other etcd clusters, or damaged. */
const mostReads = 100;

interface Folder {
  store: Pick<Store, "list" | "get">;
  clusterName: string;
  /** The claim under which the folder was entered. */
  entered: StoredClaim | undefined;
}

/** Backups that a folder holds before another one is made. */
export interface StoredBefore extends Pick<Listing, "manifests" | "sizes"> {
  /** The newest of the etcd cluster. The later ones, and some before it, are in `manifests`. */
  newest: ListedManifest | undefined;
}

/** Finds the newest backup of the etcd cluster that the folder belongs to, whatever its age. */
export async function storedBefore(
  folder: Folder,
  now: Date,
  signal: AbortSignal,
  [backMs, ...fartherMs] = lookBackMs,
): Promise<StoredBefore> {
  const { store, clusterName, entered } = folder;
  const current = entered?.lineage.at(-1);
  if (current === undefined || backMs === undefined)
    return { newest: undefined, manifests: [], sizes: new Map() };
  const from = new Date(Math.max(0, now.getTime() - backMs));
  const startAfter = `${clusterName}/${formatTime(from)}`;
  const listing = await listingOf(store.list(`${clusterName}/`, { startAfter, signal }));
  const claims = listing.claims.get(clusterName);
  // The last claim tells since when the ID means this cluster.
  const since = claims && sinceOf(current, claims);
  const manifests = listing.manifests.filter(({ object }) => isSince(object, since));
  const found = { manifests, sizes: listing.sizes };
  // A name by a clock that was ahead is in every listing.
  const recent = manifests.filter(({ object }) => object.modified >= from);
  for (const listed of recent.slice(0, mostReads))
    if (await isOf(folder, listed, found, signal)) return { ...found, newest: listed };
  return storedBefore(folder, now, signal, fartherMs);
}

/** Whether it is a complete backup of the etcd cluster that the folder belongs to. */
async function isOf(
  { store, entered }: Folder,
  listed: ListedManifest,
  { sizes }: Pick<Listing, "sizes">,
  signal: AbortSignal,
): Promise<boolean> {
  const entry = await readEntry(store, listed, sizes, signal);
  return entry?.problem === undefined && entry?.manifest?.cluster.id === entered?.lineage.at(-1)?.id;
}

/**
 * Throws FolderClaimed for a snapshot of another etcd cluster with the same ID. The ID is a hash of token and peer URLs,
 * so a cluster that was made anew may have it again. A revision never goes back within one cluster, and the member has
 * just confirmed that it has applied every write: an older revision than that of a backup from before proves another
 * cluster.
 */
export async function checkRevision(
  folder: Folder,
  { before, revision }: { before: StoredBefore; revision: number },
  signal: AbortSignal,
): Promise<void> {
  const { newest, manifests } = before;
  const newer = manifests.filter(({ backup }) => backup.revision > revision);
  // The newest is known to be of the cluster.
  if (newest !== undefined && newer.includes(newest)) throw another(folder, newest, revision);
  for (const listed of newer.slice(0, mostReads))
    if (await isOf(folder, listed, before, signal)) throw another(folder, listed, revision);
}

function another(
  { clusterName, entered }: Folder,
  { name }: ListedManifest,
  revision: number,
): OperatorError {
  const id = entered?.lineage.at(-1)?.id;
  return new OperatorError(
    "FolderClaimed",
    `the folder ${clusterName} holds backup ${name} of etcd cluster ${id}, and this snapshot of a cluster with that ID has the older revision ${revision}: it is another cluster, made anew or restored with the same token and peer URLs`,
    { permanent: true, hint: settleHint(clusterName, id) },
  );
}
