import type { Series } from "../backup/series.ts";

/** A stored backup of one folder, as retention sees it. */
export interface RetainableBackup {
  name: string;
  /** When the run began, by the clock that named it. */
  time: Date;
  /** When its manifest was stored, by the store's clock. */
  storedAt: Date;
  revision: number;
  /**
   * Position of its etcd cluster in the folder's lineage, later is higher. Undefined: a stranger. 0 in a folder without
   * claim.
   */
  generation: number | undefined;
  /** Undefined: the backup belongs to no series, or its manifest cannot be read. */
  series: Series | undefined;
  /** Why it cannot be restored: manifest or data missing or damaged, or its last verification failed. */
  problem: string | undefined;
  /** Why it stays for now, whatever the rules say: somebody reads it. */
  inUse?: string | undefined;
}

/**
 * Orders the newest backup first: by generation, revision, time, then name. Clocks may be wrong; revisions of one etcd
 * cluster are not.
 */
export function newestFirst(a: RetainableBackup, b: RetainableBackup): number {
  return (
    (b.generation ?? -1) - (a.generation ?? -1) ||
    b.revision - a.revision ||
    b.time.getTime() - a.time.getTime() ||
    (a.name < b.name ? 1 : a.name > b.name ? -1 : 0)
  );
}
