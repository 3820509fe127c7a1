/** A stored backup, as its manifest and the listing of the bucket say. */
export interface StoredBackup {
  /** Keys in the bucket. */
  manifest: string;
  data: string;
  /** The listing shows the data, too. */
  isComplete: boolean;
  /** Undefined: it belongs to no series. */
  series: string | undefined;
  revision: number;
  /** UID of its EtcdBackup. */
  owner: string | undefined;
}

/** What retention may never remove, whatever its policies say. */
export interface Untouchable {
  /** Keys of manifests that belong to no schedule of the run. */
  keys: ReadonlySet<string>;
  /** Whether the EtcdBackup with this UID has succeeded. The operator may take back what an attempt without a known end stored. */
  hasSucceeded(owner: string | undefined): boolean;
}

/** Why an object may not be removed while the bucket holds these backups. Undefined: it may. */
export function whyNotRemove(
  key: string,
  present: readonly StoredBackup[],
  { keys, hasSucceeded }: Untouchable,
): string | undefined {
  const listed = present.find(({ data }) => data === key);
  if (listed !== undefined) return `${key} is the data of ${listed.manifest}, which is still listed`;
  if (keys.has(key)) return `${key} belongs to no schedule that may remove it`;
  const backup = present.find(({ manifest }) => manifest === key);
  if (backup?.series === undefined || !hasSucceeded(backup.owner)) return undefined;
  const isSuccessor = (other: StoredBackup) =>
    other !== backup &&
    other.series === backup.series &&
    other.isComplete &&
    other.revision >= backup.revision;
  return present.some(isSuccessor) ? undefined : `${key} is the newest complete backup of ${backup.series}`;
}
