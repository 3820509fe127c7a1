import type { RetainableBackup } from "../../core/retention/retainable.ts";
import type { Store } from "../../store/store.ts";
import { readClaimNumber } from "./claim.ts";
import { readEntry, scan } from "./listing.ts";
import { retainableOf } from "./retainable.ts";
import { marked, readFailures } from "./verification.ts";

/** Manifests that are read at a time. */
const manifestsInFlight = 8;

export interface FolderBackup extends RetainableBackup {
  /** Its problem is only that a later release wrote the manifest. */
  isOfLaterRelease?: true;
}

/**
 * All backups of one folder by a listing of its own, for a process without a catalog of the store. Throws when the
 * listing breaks off, and when a manifest, the folder's claim or its record of verifications cannot be read: none of these
 * means that a backup is gone, or that it is sound.
 */
export async function readFolder(
  store: Pick<Store, "list" | "get">,
  clusterName: string,
  signal: AbortSignal,
): Promise<FolderBackup[]> {
  const { manifests, sizes, claims, marks: records } = await scan(store, { clusterName, signal });
  const marks = await readFailures(store, { clusterName, listed: records.get(clusterName) }, signal);
  const listedClaims = claims.get(clusterName);
  const claim =
    listedClaims === undefined
      ? undefined
      : await readClaimNumber(store, { clusterName, number: listedClaims.newest }, signal);
  const found: FolderBackup[] = [];
  for (let next = 0; next < manifests.length; next += manifestsInFlight) {
    const batch = manifests.slice(next, next + manifestsInFlight).map(async (listed) => {
      const entry = await readEntry(store, listed, sizes, signal);
      if (entry === undefined) return [];
      const later = entry.isOfLaterRelease === undefined ? {} : { isOfLaterRelease: entry.isOfLaterRelease };
      return [
        { ...retainableOf(marked(entry, marks), listed.object.modified, claim, listedClaims), ...later },
      ];
    });
    found.push(...(await Promise.all(batch)).flat());
  }
  return found;
}
