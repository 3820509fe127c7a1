import type { StoredClaim } from "./claim.ts";
import {
  type CompactListing,
  type ListedBackup,
  type ListedFolder,
  expand,
  newestFirstOf,
} from "./compact-listing.ts";
import type { ManifestFacts } from "./facts.ts";
import { orUnusable } from "./json-record.ts";
import { latestUnder } from "./latest.ts";
import type { CatalogEntry, CompleteBackup, ListedManifest } from "./listing.ts";

export interface Summary {
  count: number;
  newest: CompleteBackup<ManifestFacts> | undefined;
  laterByClock?: CatalogEntry<ManifestFacts>;
  /** Folders whose claim is damaged or of a later release, of those that were looked at. */
  unreadable: string[];
}

interface Reads {
  claimOf: (folder: ListedFolder) => Promise<StoredClaim | undefined>;
  read: (folder: ListedFolder, backup: ListedBackup) => Promise<CatalogEntry<ManifestFacts> | undefined>;
  /** Whether the manifest would have to be read, and no more may be. */
  isSpent: (backup: ListedBackup) => boolean;
}

/**
 * The number of backups in a listing, and the latest complete one of the folder that was written last, by the store's
 * clock. Reads no more manifests than needed.
 */
export async function summaryOf(
  folders: CompactListing,
  { claimOf, read, isSpent }: Reads,
): Promise<Summary> {
  const withBackups = [...folders.values()].filter(({ backups }) => backups.size > 0);
  const count = withBackups.reduce((sum, { backups }) => sum + backups.size, 0);
  const unreadable: string[] = [];
  for (const folder of withBackups.toSorted((a, b) => b.written - a.written)) {
    const claim = await orUnusable(claimOf(folder));
    if (claim === "unusable") {
      unreadable.push(folder.clusterName);
      continue;
    }
    const backups = new Map<ListedManifest, ListedBackup>();
    for (const backup of newestFirstOf(folder)) backups.set(expand(folder, backup), backup);
    const of = (listed: ListedManifest) => backups.get(listed);
    const { complete: newest, laterByClock } = await latestUnder<ManifestFacts>(
      claim,
      { manifests: [...backups.keys()], claims: folder.claims },
      async (listed) => {
        const backup = of(listed);
        return backup && read(folder, backup);
      },
      (listed) => {
        const backup = of(listed);
        return backup !== undefined && isSpent(backup);
      },
    );
    if (newest !== undefined)
      return { count, newest, unreadable, ...(laterByClock === undefined ? {} : { laterByClock }) };
  }
  return { count, newest: undefined, unreadable };
}
