import { createHash } from "node:crypto";
import type { EtcdBackupStore } from "../../api/v1alpha1/etcd-backup-store.ts";
import { checkClusterName } from "../backup/name.ts";
import { wholeSeconds } from "../conditions.ts";
import { OperatorError } from "../errors.ts";

/** Label of the EtcdBackups that the operator made for backups which a store holds. */
export const importedLabel = "etcdbackup.dev/imported";
/** Annotation on an EtcdBackupStore: a new value imports again what was imported before and was deleted. */
export const importAnnotation = "etcdbackup.dev/import";

/** EtcdBackups that record the backups of one store, at most. */
const mostRecords = 10_000;
/** Milliseconds by which the clocks of a store's servers may differ, and by which a listing may be late. */
export const slackMs = 5 * 60_000;
/** Backups that status names, at most. */
const mostRecent = 500;
/** Complete listings that have to miss a backup before its record goes. */
const missesBeforeRemoval = 2;

/** An EtcdBackup that the operator made for a backup which a store holds. */
export interface ImportedRecord {
  /** Of the EtcdBackup. */
  name: string;
  uid: string;
  /** Name of the EtcdBackupStore. */
  store: string;
  clusterName: string;
  /** The backup's name. */
  backup: string;
  /** Where the operator found the backup. Undefined before that. */
  storeURL: string | undefined;
}

/** A backup as the catalog lists it. */
export interface CatalogedBackup {
  clusterName: string;
  name: string;
  /** When its manifest was stored, by the store's clock: milliseconds since the epoch. */
  modified: number;
  /** Whether the store holds the data object of its run. */
  hasData: boolean;
}

export type CatalogStatus = NonNullable<EtcdBackupStore["status"]["catalog"]>;

/** What the operator observed of one store. */
export interface ObservedRecords {
  store: EtcdBackupStore;
  /** Of the store, as `status.artifact.storeURL` names it. */
  location: string;
  backups: Iterable<CatalogedBackup>;
  /** Of this store. */
  records: readonly ImportedRecord[];
  /** Whether an EtcdBackup made or records the backup. */
  isKnown: (backup: CatalogedBackup) => boolean;
  /** Whether this process has decided on the backup since an import was last asked for. */
  isHandled: (backup: CatalogedBackup) => boolean;
  /** The `newest` of a listing that began `slackMs` before this one or earlier, if there was one. */
  settled?: number | undefined;
  now: Date;
}

export interface RecordsPlan {
  /** Newest first in each cluster. */
  create: CatalogedBackup[];
  /** Records beyond `spec.catalog.importLimit`. */
  trim: ImportedRecord[];
  /** Records of backups that the listing does not show. */
  absent: ImportedRecord[];
  /** Backups on which the plan decides, and which the time in `next` does not yet rule out. Newest first. */
  recent: CatalogedBackup[];
  /** When the newest backup was stored on which a plan has decided: milliseconds since the epoch. 0: there is none. */
  newest: number;
  /** What status says once the plan is carried out. */
  next: Import;
}

/** What status says of the imports so far. */
export type Import = Pick<
  CatalogStatus,
  "importedUntil" | "importedRecently" | "importedFor" | "lastHandledImport"
>;

/** A name of a Kubernetes object: labels of letters, digits and `-`, with `.` between them. */
const objectName = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/**
 * The name of the EtcdBackup that records a stored backup: at most 160 characters, and another one for each backup of a
 * store. A cluster name that cannot begin the name of an object is replaced by its digest.
 */
export function recordName({ clusterName, name }: Pick<CatalogedBackup, "clusterName" | "name">): string {
  const begin = objectName.test(clusterName) ? clusterName : `cluster-${digestOf(clusterName)}`;
  return `${begin}-${name.toLowerCase()}`;
}

/** Whether the operator made the record: a person's one has another name. */
export function isOwnRecord({ name, clusterName, backup }: ImportedRecord): boolean {
  return name === recordName({ clusterName, name: backup });
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

function digestOfPlace({ clusterName, name }: CatalogedBackup): string {
  return digestOf(`${clusterName}/${name}`).slice(0, 8);
}

/**
 * Which EtcdBackups to make and to delete. A backup is imported when the store is new, when a person asks, or when it was
 * stored after all that were decided on. So the record that a person deletes stays away. Status names a time, and of what
 * was decided on and stored after that the newest `mostRecent`.
 */
export function planRecords(observed: ObservedRecords): RecordsPlan {
  const { store, location, backups, records, isKnown, settled = 0, now } = observed;
  const { importLimit, clusterNames, import: isImporting } = store.spec.catalog;
  const before = importBegun(store);
  const until = Date.parse(before.importedUntil ?? "");
  const named = new Set(before.importedRecently);
  const isHandled = (backup: CatalogedBackup) =>
    observed.isHandled(backup) || (named.size > 0 && named.has(digestOfPlace(backup)));
  const missing = new Map<string, ImportedRecord>();
  for (const record of records)
    if (isOwnRecord(record) && (record.storeURL ?? location) === location)
      missing.set(`${record.clusterName}/${record.backup}`, record);
  const present: ImportedRecord[] = [];
  const wanted: CatalogedBackup[] = [];
  const eligible: CatalogedBackup[] = [];
  let newest = Number.isNaN(until) ? 0 : until;
  for (const backup of backups) {
    const { clusterName, name, modified } = backup;
    const record = missing.get(`${clusterName}/${name}`);
    if (record !== undefined) present.push(record);
    missing.delete(`${clusterName}/${name}`);
    if (!isImporting || modified <= until) continue;
    newest = Math.max(newest, Math.min(modified, now.getTime()));
    eligible.push(backup);
    const isSelected = isClusterName(clusterName) && (clusterNames?.includes(clusterName) ?? true);
    if (!isSelected || !backup.hasData || record !== undefined) continue;
    if (!isHandled(backup) && !isKnown(backup)) wanted.push(backup);
  }
  const absent = [...missing.values()];
  if (!isImporting) return { create: [], trim: [], absent, recent: [], newest: 0, next: importOf(store) };
  const later = Math.max(newest - slackMs, settled);
  // Status holds whole seconds.
  const untilNext = Math.max(Number.isNaN(until) ? 0 : until, Math.ceil(later / 1000) * 1000);
  const recent = eligible
    .filter(({ modified }) => modified > untilNext)
    .toSorted((a, b) => b.modified - a.modified);
  return {
    ...chooseNewest(wanted, present, importLimit),
    absent,
    recent,
    newest,
    next: importedBy(before, untilNext, recent),
  };
}

/** `until`: milliseconds since the epoch. */
function importedBy(before: Import, until: number, recent: readonly CatalogedBackup[]): Import {
  const { importedRecently: _, ...kept } = before;
  const named = recent.slice(0, mostRecent).map(digestOfPlace);
  return {
    ...kept,
    ...(until > 0 ? { importedUntil: wholeSeconds(new Date(until)) } : {}),
    ...(named.length > 0 ? { importedRecently: named } : {}),
  };
}

/** The newest `limit` of each cluster, of the records and of the backups that shall have one. */
function chooseNewest(
  wanted: readonly CatalogedBackup[],
  present: readonly ImportedRecord[],
  limit: number,
): Pick<RecordsPlan, "create" | "trim"> {
  const clusters = new Map<string, { name: string; backup?: CatalogedBackup; record?: ImportedRecord }[]>();
  const listOf = (clusterName: string) => {
    const list = clusters.get(clusterName) ?? [];
    clusters.set(clusterName, list);
    return list;
  };
  for (const backup of wanted) listOf(backup.clusterName).push({ name: backup.name, backup });
  for (const record of present) listOf(record.clusterName).push({ name: record.backup, record });
  const create: CatalogedBackup[] = [];
  const trim: ImportedRecord[] = [];
  for (const list of clusters.values()) {
    const newestFirst = list.toSorted((a, b) => (a.name > b.name ? -1 : 1));
    create.push(...newestFirst.slice(0, limit).flatMap(({ backup }) => backup ?? []));
    trim.push(...newestFirst.slice(limit).flatMap(({ record }) => record ?? []));
  }
  return { create: create.slice(0, Math.max(0, mostRecords - present.length)), trim };
}

/** What status says of the imports so far, or that a new import has begun: then all backups are looked at again. */
export function importBegun({ spec, status, metadata }: EtcdBackupStore): Import {
  const { importLimit, clusterNames = [] } = spec.catalog;
  const importedFor = digestOf(JSON.stringify([importLimit, clusterNames]));
  const asked = metadata.annotations?.[importAnnotation];
  const before = importOf({ status });
  const isSame = before.importedFor === importedFor && before.lastHandledImport === asked;
  return isSame ? before : { importedFor, ...(asked === undefined ? {} : { lastHandledImport: asked }) };
}

function importOf({ status: { catalog = {} } }: Pick<EtcdBackupStore, "status">): Import {
  const { importedUntil, importedRecently, importedFor, lastHandledImport } = catalog;
  return {
    ...(importedUntil === undefined ? {} : { importedUntil }),
    ...(importedRecently === undefined ? {} : { importedRecently }),
    ...(importedFor === undefined ? {} : { importedFor }),
    ...(lastHandledImport === undefined ? {} : { lastHandledImport }),
  };
}

function isClusterName(text: string): boolean {
  try {
    checkClusterName(text);
    return true;
  } catch (error) {
    if (error instanceof OperatorError) return false;
    throw error;
  }
}

/**
 * Counts, by UID, the complete listings in a row that did not show the backup of a record. `gone`: the records to delete.
 * A failed listing counts for nothing.
 */
export function countAbsences(
  absent: readonly ImportedRecord[],
  before: ReadonlyMap<string, number>,
): { counts: Map<string, number>; gone: ImportedRecord[] } {
  const counts = new Map(absent.map(({ uid }) => [uid, (before.get(uid) ?? 0) + 1]));
  const gone = absent.filter(({ uid }) => (counts.get(uid) ?? 0) >= missesBeforeRemoval);
  return { counts, gone };
}
