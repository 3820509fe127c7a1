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
import { type Latest, latestUnder } from "./latest.ts";
import type { CatalogEntry, CompleteBackup, ListedManifest } from "./listing.ts";

export interface Summary {
  count: number;
  newest: CompleteBackup<ManifestFacts> | undefined;
  laterByClock?: CatalogEntry<ManifestFacts>;
  /** Folders whose claim is damaged or of a later release, of those that were looked at. */
  unreadable: string[];
}

export interface Reads {
  claimOf: (folder: ListedFolder) => Promise<StoredClaim | undefined>;
  /** With the failure of its last verification as the problem, as far as that is known. */
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
    const { complete: newest, laterByClock } = await latestInFolder(folder, claim, { read, isSpent });
    if (newest !== undefined)
      return { count, newest, unreadable, ...(laterByClock === undefined ? {} : { laterByClock }) };
  }
  return { count, newest: undefined, unreadable };
}

/** The latest complete backup of one folder with this claim. */
export function latestInFolder(
  folder: ListedFolder,
  claim: StoredClaim | undefined,
  { read, isSpent }: Pick<Reads, "read" | "isSpent">,
): Promise<Latest<ManifestFacts>> {
  const backups = new Map<ListedManifest, ListedBackup>();
  for (const backup of newestFirstOf(folder)) backups.set(expand(folder, backup), backup);
  const of = (listed: ListedManifest) => backups.get(listed);
  return latestUnder<ManifestFacts>(
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
}
