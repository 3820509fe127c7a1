import { type Marks, noMarks } from "../../core/verification/marks.ts";
import type { Store } from "../../store/store.ts";
import { type ClaimListing, type StoredClaim, usableClaim } from "./claim.ts";
import { strangerIn } from "./latest.ts";
import {
  type CatalogEntry,
  type ListedManifest,
  type Listing,
  type Scope,
  readEntry,
  scan,
} from "./listing.ts";
import { marked, tryToReadFailures } from "./verification.ts";

/** Manifests that are read at a time. */
const manifestsInFlight = 8;

/**
 * All backups in the store or of one cluster, newest first. Data without a manifest is no backup and is not listed.
 * `onWarning` is called with what could not be read.
 */
export async function listBackups(
  store: Pick<Store, "list" | "get">,
  { onWarning, ...scope }: Scope & { onWarning?: (text: string) => void },
): Promise<CatalogEntry[]> {
  const listing = await scan(store, scope);
  const entries = await readEntries(store, listing, { ...scope, which: () => true });
  const marksOf = new Map<string, Marks>();
  for (const [clusterName, listed] of listing.marks) {
    const { marks, warning } = await tryToReadFailures(store, { clusterName, listed }, scope.signal);
    marksOf.set(clusterName, marks);
    if (warning !== undefined) onWarning?.(warning);
  }
  return entries.map((entry) => marked(entry, marksOf.get(entry.clusterName) ?? noMarks));
}

/**
 * The backups that `which` selects by their names, newest first. Reads only their manifests, and none of the records of
 * verifications: a backup whose verification failed has no problem here.
 */
export async function findBackups(
  store: Pick<Store, "list" | "get">,
  options: Scope & { which: (manifest: ListedManifest) => boolean },
): Promise<CatalogEntry[]> {
  return readEntries(store, await scan(store, options), options);
}

async function readEntries(
  store: Pick<Store, "get">,
  { manifests, sizes, claims }: Listing,
  { which, ...scope }: Scope & { which: (manifest: ListedManifest) => boolean },
): Promise<CatalogEntry[]> {
  const selected = manifests.filter(which);
  const claimOf = await readClaims(store, claims, selected, scope.signal);
  const entries: CatalogEntry[] = [];
  for (let next = 0; next < selected.length; next += manifestsInFlight) {
    const batch = selected.slice(next, next + manifestsInFlight);
    const read = await Promise.all(batch.map((listed) => readEntry(store, listed, sizes, scope.signal)));
    for (const entry of read) if (entry !== undefined) entries.push(withStranger(entry, claimOf));
  }
  return entries;
}

function withStranger(entry: CatalogEntry, claims: ReadonlyMap<string, StoredClaim>): CatalogEntry {
  const claim = claims.get(entry.clusterName);
  const stranger = claim && strangerIn(claim, entry.manifest);
  return stranger === undefined ? entry : { ...entry, stranger };
}

/** The claims of the selected backups' folders. One that cannot be used says nothing, and hides no backup. */
async function readClaims(
  store: Pick<Store, "get">,
  claims: ReadonlyMap<string, ClaimListing>,
  selected: readonly ListedManifest[],
  signal: AbortSignal,
): Promise<Map<string, StoredClaim>> {
  const found = new Map<string, StoredClaim>();
  for (const clusterName of new Set(selected.map((listed) => listed.clusterName))) {
    const number = claims.get(clusterName)?.newest;
    if (number === undefined) continue;
    const claim = await usableClaim(store, { clusterName, number }, signal);
    if (claim !== undefined && claim !== "unusable") found.set(clusterName, claim);
  }
  return found;
}
