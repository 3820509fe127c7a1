import type { Claim } from "../../core/backup/claim.ts";
import type { ClaimListing } from "./claim.ts";
import type { ManifestFacts } from "./facts.ts";
import { isSince, sinceOf } from "./latest.ts";
import type { CatalogEntry } from "./listing.ts";

/** What a backup was made for: a schedule, or `etcd-backup save --series`. */
export interface Series {
  name: string;
  namespace?: string | undefined;
  /** UID of the namespace kube-system. */
  kubernetesCluster?: string | undefined;
}

/** A stored backup of one folder, as retention sees it. */
export interface RetainableBackup {
  name: string;
  /** When the run began, by the clock that named it. */
  time: Date;
  revision: number;
  /** Position of its etcd cluster in the folder's lineage, later is higher; undefined: a stranger. 0 without a claim. */
  generation: number | undefined;
  series: Series | undefined;
  /** Why it cannot be restored: its manifest or its data is missing or damaged. */
  problem: string | undefined;
}

/** `modified`: when the manifest was stored, by the store's clock. */
export function retainableOf(
  { name, time, revision, manifest, problem }: CatalogEntry<ManifestFacts>,
  modified: Date,
  claim: Claim | undefined,
  claims: ClaimListing | undefined,
): RetainableBackup {
  const generation =
    manifest === undefined ? undefined : generationOf(manifest.cluster.id, modified, claim, claims);
  return { name, time, revision, generation, series: manifest?.series, problem };
}

function generationOf(
  clusterId: string,
  modified: Date,
  claim: Claim | undefined,
  claims: ClaimListing | undefined,
): number | undefined {
  if (claim === undefined || claims === undefined) return 0;
  const last = claim.lineage.findLastIndex(
    (ancestor) => ancestor.id === clusterId && isSince({ modified }, sinceOf(ancestor, claims)),
  );
  return last === -1 ? undefined : last;
}
