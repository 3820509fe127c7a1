import type { Ancestor, Claim } from "../../core/backup/claim.ts";
import type { ObjectInfo, Store } from "../../store/store.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { type ClaimListing, readClaimNumber, usableClaim } from "./claim.ts";
import {
  type CatalogEntry,
  type CompleteBackup,
  type ListedManifest,
  type Listing,
  listingOf,
  readEntry,
  scan,
} from "./listing.ts";

export interface Latest {
  complete: CompleteBackup | undefined;
  /** Backups that would be the latest by their names and are not, because they have a problem or are of a stranger. */
  passedOver: CatalogEntry[];
  /** A backup with a later time in its name, and an older state: one of the clocks that named them was wrong. */
  laterByClock?: CatalogEntry;
}

/**
 * The latest backup of one folder: of the etcd cluster that the folder belongs to, the one of the highest revision. etcd
 * counts revisions, so no clock matters. While that cluster has no complete backup here, that of the cluster which it was
 * restored from is the latest, and so on. In a folder without a claim, of an earlier release, the names decide, and so
 * the clocks. `listing.manifests`: those of the folder, newest first.
 */
export async function latestOf(
  store: Pick<Store, "get">,
  listing: Listing,
  signal: AbortSignal,
): Promise<Latest> {
  const clusterName = listing.manifests[0]?.clusterName ?? "";
  const number = listing.claims.get(clusterName)?.newest;
  const claim =
    number === undefined ? undefined : await readClaimNumber(store, { clusterName, number }, signal);
  return latestUnder(claim, store, listing, { mostReads: Number.POSITIVE_INFINITY, signal });
}

/** After `mostReads` manifests it finds none: a lineage whose times cannot be used may need all. */
async function latestUnder(
  claim: Claim | undefined,
  store: Pick<Store, "get">,
  { manifests, sizes, claims }: Listing,
  { mostReads, signal }: { mostReads: number; signal: AbortSignal },
): Promise<Latest> {
  const listed = claims.get(manifests[0]?.clusterName ?? "");
  let reads = 0;
  const read = remembering((manifest) => {
    reads += 1;
    return readEntry(store, manifest, sizes, signal);
  });
  if (claim === undefined || listed === undefined) return firstComplete(manifests, read);
  const byRevision = manifests.toSorted((a, b) => b.backup.revision - a.backup.revision);
  const passedOver = new Set<CatalogEntry>();
  for (const ancestor of claim.lineage.toReversed()) {
    const { id } = ancestor;
    const since = sinceOf(ancestor, listed);
    for (const manifest of byRevision.filter(({ object }) => isSince(object, since))) {
      if (reads >= mostReads) return { complete: undefined, passedOver: [...passedOver] };
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

type Read = (manifest: ListedManifest) => Promise<CatalogEntry | undefined>;

function remembering(read: Read): Read {
  const known = new Map<ListedManifest, ReturnType<Read>>();
  return (manifest) => {
    const entry = known.get(manifest) ?? read(manifest);
    known.set(manifest, entry);
    return entry;
  };
}

/** The first complete one in the given order. */
export async function firstComplete(manifests: readonly ListedManifest[], read: Read): Promise<Latest> {
  const passedOver: CatalogEntry[] = [];
  for (const listed of manifests) {
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
export function isSince({ modified }: ObjectInfo, since: Date | undefined): boolean {
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
export function strangerIn(claim: Claim, manifest: Manifest | undefined): string | undefined {
  if (manifest === undefined || claim.lineage.some(({ id }) => id === manifest.cluster.id)) return undefined;
  return `it is of etcd cluster ${manifest.cluster.id}, and the folder belongs to ${claim.lineage.at(-1)?.id}`;
}

async function laterThan(
  claim: Claim,
  { time }: CatalogEntry,
  newestFirst: readonly ListedManifest[],
  read: Read,
): Promise<Pick<Latest, "laterByClock">> {
  const [newest] = newestFirst;
  if (newest === undefined || newest.backup.time <= time) return {};
  const entry = await read(newest);
  const isOther = entry === undefined || entry.problem !== undefined || strangerIn(claim, entry.manifest);
  return isOther ? {} : { laterByClock: entry };
}

/**
 * The number of backups in a whole listing, and the latest complete one of the folder that was written last, by the
 * store's clock. Reads no more manifests than needed.
 */
export async function summarize(
  store: Pick<Store, "get">,
  { objects, signal }: { objects: Iterable<ObjectInfo>; signal: AbortSignal },
): Promise<Summary> {
  const { manifests, sizes, claims } = await listingOf(objects);
  const count = manifests.length;
  const unreadable: string[] = [];
  for (const folder of foldersLastWrittenFirst(manifests)) {
    const clusterName = folder[0]?.clusterName ?? "";
    const number = claims.get(clusterName)?.newest;
    const claim =
      number === undefined ? undefined : await usableClaim(store, { clusterName, number }, signal);
    if (claim === "unusable") {
      unreadable.push(clusterName);
      continue;
    }
    const listing = { manifests: folder, sizes, claims };
    const { complete: newest, laterByClock } = await latestUnder(claim, store, listing, {
      mostReads: mostReadsOfSummary,
      signal,
    });
    if (newest !== undefined)
      return { count, newest, unreadable, ...(laterByClock === undefined ? {} : { laterByClock }) };
  }
  return { count, newest: undefined, unreadable };
}

/** Manifests that a summary reads of one folder. It is made at every probe of a store. */
const mostReadsOfSummary = 1_000;

export interface Summary {
  count: number;
  newest: CompleteBackup | undefined;
  laterByClock?: CatalogEntry;
  /** Folders whose claim is damaged or of a later release, of those that were looked at. */
  unreadable: string[];
}

function foldersLastWrittenFirst(manifests: readonly ListedManifest[]): ListedManifest[][] {
  const folders = Object.values(Object.groupBy(manifests, ({ clusterName }) => clusterName)).map(
    (folder = []) => ({
      folder,
      written: folder.reduce((latest, { object }) => Math.max(latest, object.modified.getTime()), 0),
    }),
  );
  return folders.toSorted((a, b) => b.written - a.written).map(({ folder }) => folder);
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
export function clockWarning(later: CatalogEntry, latest: Pick<CatalogEntry, "name" | "revision">): string {
  return `${later.name} has a later time in its name than the latest, ${latest.name}: the clock that named one of them was wrong; the etcd cluster and the revision (${later.revision} and ${latest.revision}) decide`;
}
