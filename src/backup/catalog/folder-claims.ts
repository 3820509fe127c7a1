import type { Store } from "../../store/store.ts";
import { type StoredClaim, readClaimNumber } from "./claim.ts";
import type { CompactListing, ListedFolder } from "./compact-listing.ts";

/** The claims of folders, each read when it is first needed, and again when its version in the listing changes. */
export class FolderClaims {
  readonly #known = new Map<string, { version: string; claim: StoredClaim }>();

  /** Undefined for a folder without a claim. Throws for one that cannot be used. */
  async of(
    store: Pick<Store, "get">,
    { clusterName, claims, claimVersion: version }: ListedFolder,
    signal: AbortSignal,
  ): Promise<StoredClaim | undefined> {
    if (claims === undefined) return undefined;
    const known = this.#known.get(clusterName);
    if (known?.version === version && known.claim.number === claims.newest) return known.claim;
    const claim = await readClaimNumber(store, { clusterName, number: claims.newest }, signal);
    if (claim !== undefined) this.#known.set(clusterName, { version, claim });
    return claim;
  }

  /** Forgets the claims that are gone or have changed. */
  replace(next: CompactListing): void {
    for (const [clusterName, { version }] of this.#known)
      if (next.get(clusterName)?.claimVersion !== version) this.#known.delete(clusterName);
  }

  clear(): void {
    this.#known.clear();
  }
}
