import type { Store } from "../../store/store.ts";
import { type ClaimListing, type StoredClaim, usableClaim } from "./claim.ts";
import { strangerIn } from "./latest.ts";
import { type CatalogEntry, type ListedManifest, type Scope, readEntry, scan } from "./listing.ts";

/** Manifests that are read at a time. */
const manifestsInFlight = 8;

/** All backups in the store or of one cluster, newest first. Data without a manifest is no backup and is not listed. */
export function listBackups(store: Pick<Store, "list" | "get">, scope: Scope): Promise<CatalogEntry[]> {
  return findBackups(store, { ...scope, which: () => true });
}

/** The backups that `which` selects by their names, newest first. Reads only their manifests. */
export async function findBackups(
  store: Pick<Store, "list" | "get">,
  { which, ...scope }: Scope & { which: (manifest: ListedManifest) => boolean },
): Promise<CatalogEntry[]> {
  const { manifests, sizes, claims } = await scan(store, scope);
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
