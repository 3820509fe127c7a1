import type { RetainableBackup } from "../../core/retention/retainable.ts";
import type { Claim } from "../../core/backup/claim.ts";
import type { ClaimListing } from "./claim.ts";
import type { ManifestFacts } from "./facts.ts";
import { isSince, sinceOf } from "./latest.ts";
import type { CatalogEntry } from "./listing.ts";

/** `modified`: when the manifest was stored, by the store's clock. */
export function retainableOf(
  { name, time, revision, manifest, problem }: CatalogEntry<ManifestFacts>,
  modified: Date,
  claim: Claim | undefined,
  claims: ClaimListing | undefined,
): RetainableBackup {
  const generation =
    manifest === undefined ? undefined : generationOf(manifest.cluster.id, modified, claim, claims);
  return { name, time, storedAt: modified, revision, generation, series: manifest?.series, problem };
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
