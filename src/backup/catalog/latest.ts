import type { Ancestor, Claim } from "../../core/backup/claim.ts";
import type { ObjectInfo, Store } from "../../store/store.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { type ClaimListing, readClaimNumber } from "./claim.ts";
import {
  type CatalogEntry,
  type CompleteBackup,
  type ListedManifest,
  type Listing,
  readEntry,
  scan,
} from "./listing.ts";
import { marked, tryToReadFailures } from "./verification.ts";

export interface Latest<M = Manifest> {
  complete: CompleteBackup<M> | undefined;
  /** Backups that would be the latest by their names and are not, because they have a problem or are of a stranger. */
  passedOver: CatalogEntry<M>[];
  /** A backup with a later time in its name, and an older state: one of the clocks that named them was wrong. */
  laterByClock?: CatalogEntry<M>;
  /** What could not be read, and was gone on without. */
  warning?: string;
}

/** What has to be known of a manifest. */
export interface OfCluster {
  cluster: { id: string };
}

/** Undefined when the backup no longer exists. */
type Read<M> = (listed: ListedManifest) => Promise<CatalogEntry<M> | undefined>;

/**
 * The latest backup of one folder: of the etcd cluster that the folder belongs to, the one of the highest revision. etcd
 * counts revisions, so no clock matters. While that cluster has no complete backup here, that of the cluster which it was
 * restored from is the latest, and so on. In a folder without a claim, of an earlier release, the names decide, and so
 * the clocks. One whose last verification failed is not complete. `listing.manifests`: those of the folder, newest first.
 */
export async function latestOf(
  store: Pick<Store, "get" | "list">,
  listing: Listing,
  signal: AbortSignal,
): Promise<Latest> {
  const clusterName = listing.manifests[0]?.clusterName ?? "";
  const number = listing.claims.get(clusterName)?.newest;
  const claim =
    number === undefined ? undefined : await readClaimNumber(store, { clusterName, number }, signal);
  const at = { clusterName, listed: listing.marks.get(clusterName) };
  const { marks, ...warned } = await tryToReadFailures(store, at, signal);
  const read = async (listed: ListedManifest) => {
    const entry = await readEntry(store, listed, listing.sizes, signal);
    return entry && marked(entry, marks);
  };
  const claims = listing.claims.get(clusterName);
  return { ...(await latestUnder(claim, { manifests: listing.manifests, claims }, read)), ...warned };
}

function remembering<M>(read: Read<M>): Read<M> {
  const known = new Map<ListedManifest, ReturnType<Read<M>>>();
  return (listed) => {
    const entry = known.get(listed) ?? read(listed);
    known.set(listed, entry);
    return entry;
  };
}

/** As `latestOf`, of the backups of one folder with this claim. `isSpent`: whether no more manifests may be read. */
export async function latestUnder<M extends OfCluster>(
  claim: Claim | undefined,
  { manifests, claims }: { manifests: readonly ListedManifest[]; claims: ClaimListing | undefined },
  readOne: Read<M>,
  isSpent: (listed: ListedManifest) => boolean = () => false,
): Promise<Latest<M>> {
  const read = remembering(readOne);
  if (claim === undefined || claims === undefined) return firstComplete(manifests, read, isSpent);
  const byRevision = manifests.toSorted((a, b) => b.backup.revision - a.backup.revision);
  const passedOver = new Set<CatalogEntry<M>>();
  for (const ancestor of claim.lineage.toReversed()) {
    const { id } = ancestor;
    const since = sinceOf(ancestor, claims);
    for (const manifest of byRevision.filter(({ object }) => isSince(object, since))) {
      if (isSpent(manifest)) return { complete: undefined, passedOver: [...passedOver] };
      const entry = await read(manifest);
      if (entry === undefined) continue;
      const whose = entry.manifest?.cluster.id;
      if (entry.problem === undefined && whose === id && entry.manifest !== undefined)
        return {
          complete: { ...entry, manifest: entry.manifest },
          passedOver: [...passedOver],
          ...(await laterThan(claim, entry, manifests, read)),
        };
      const stranger = strangerIn(claim, entry.manifest);
      if (entry.problem !== undefined) passedOver.add(entry);
      else if (stranger !== undefined) passedOver.add({ ...entry, stranger });
    }
  }
  return { complete: undefined, passedOver: [...passedOver] };
}

/** The first complete one in the given order. */
export async function firstComplete<M>(
  manifests: readonly ListedManifest[],
  read: Read<M>,
  isSpent: (listed: ListedManifest) => boolean = () => false,
): Promise<Latest<M>> {
  const passedOver: CatalogEntry<M>[] = [];
  for (const listed of manifests) {
    if (isSpent(listed)) break;
    const entry = await read(listed);
    if (entry === undefined) continue;
    const { manifest, problem } = entry;
    if (problem === undefined && manifest !== undefined)
      return { complete: { ...entry, manifest }, passedOver };
    passedOver.push(entry);
  }
  return { complete: undefined, passedOver };
}

/** Milliseconds by which the clocks of a store's servers may differ. */
const storeClockSlackMs = 5 * 60_000;

/** A cluster has no backup in the folder that is older, by the store's clock, than the claim that let it in. */
export function isSince({ modified }: Pick<ObjectInfo, "modified">, since: Date | undefined): boolean {
  return since === undefined || modified.getTime() >= since.getTime() - storeClockSlackMs;
}

/**
 * When the cluster was let in, by the store's clock. Undefined when that says nothing about its backups: before that it
 * was not refused, or the bucket was copied and has the times of the copy.
 */
export function sinceOf({ number, since }: Ancestor, { modified }: ClaimListing): Date | undefined {
  const stored = modified.get(number);
  if (stored === undefined || since === undefined) return undefined;
  return Math.abs(stored.getTime() - Date.parse(since)) < 60 * 60_000 ? stored : undefined;
}

/** Why the backup is of no cluster of the lineage; undefined when it is, and without a readable manifest. */
export function strangerIn(claim: Claim, manifest: OfCluster | undefined): string | undefined {
  if (manifest === undefined || claim.lineage.some(({ id }) => id === manifest.cluster.id)) return undefined;
  return `it is of etcd cluster ${manifest.cluster.id}, and the folder belongs to ${claim.lineage.at(-1)?.id}`;
}

async function laterThan<M extends OfCluster>(
  claim: Claim,
  { time }: CatalogEntry<M>,
  newestFirst: readonly ListedManifest[],
  read: Read<M>,
): Promise<Pick<Latest<M>, "laterByClock">> {
  const [newest] = newestFirst;
  if (newest === undefined || newest.backup.time <= time) return {};
  const entry = await read(newest);
  const isOther = entry === undefined || entry.problem !== undefined || strangerIn(claim, entry.manifest);
  return isOther ? {} : { laterByClock: entry };
}

/** The backup of one folder that was stored last, by the store's clock, among those whose manifest is sound. */
export async function newestByStoreTime(
  store: Pick<Store, "list" | "get">,
  clusterName: string,
  signal: AbortSignal,
): Promise<{ manifest: Manifest; modified: Date } | undefined> {
  const { manifests, sizes } = await scan(store, { clusterName, signal });
  const byTime = manifests.toSorted((a, b) => b.object.modified.getTime() - a.object.modified.getTime());
  for (const listed of byTime) {
    const manifest = (await readEntry(store, listed, sizes, signal))?.manifest;
    if (manifest !== undefined) return { manifest, modified: listed.object.modified };
  }
  return undefined;
}

/** What to tell a person about a backup that only a clock makes newer than the latest. */
export function clockWarning(
  later: Pick<CatalogEntry, "name" | "revision">,
  latest: Pick<CatalogEntry, "name" | "revision">,
): string {
  return `${later.name} has a later time in its name than the latest, ${latest.name}: the clock that named one of them was wrong; the etcd cluster and the revision (${later.revision} and ${latest.revision}) decide`;
}
