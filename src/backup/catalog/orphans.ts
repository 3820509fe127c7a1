import { formatTime, objectKind, parseDataObject, parseRun } from "../../core/backup/name.ts";
import { OperatorError } from "../../core/errors.ts";
import type { ObjectInfo, Store } from "../../store/store.ts";
import { findBackups } from "./list.ts";
import type { Manifest } from "../manifest/manifest.ts";

/** A time in which objects are named, by the clocks of those who named them. */
export interface RunWindow {
  from: Date;
  until: Date;
}

interface RunQuery {
  clusterName: string;
  /** The prefix that the run IDs of one resource share. */
  runPrefix: string;
  /** Lists only objects that are named in this time. Absent: the whole folder. */
  window?: RunWindow;
  signal: AbortSignal;
}

/** What to log with `onKept`. */
export const keptMessage =
  "data without a manifest stays: a later release may have stored the objects beside it";

/**
 * Milliseconds after which data without a manifest and an unfinished upload are nobody's: no run may last as long, with
 * an hour for clocks that differ.
 */
export const abandonedAfterMs = 25 * 3_600_000;

/** An object or an upload that belongs to no backup and to no run that may still go on. */
export interface Orphan {
  object: string;
  /** When it was last written to; for an upload, when it was begun. By the store's clock. */
  modified: Date;
  /** Bytes. Undefined for an upload whose size the store does not list. */
  size: number | undefined;
  kind: "UnfinishedUpload" | "DataWithoutManifest" | "Probe";
}

interface SweepScope {
  before: Date;
  signal: AbortSignal;
  /** Deletes nothing: finds what a sweep would delete. */
  dryRun?: boolean;
  /** Called with each orphan that was deleted, or would be. */
  onOrphan?: (orphan: Orphan) => void;
  /** Called with data that has no manifest and stays, because its run has objects of an unknown kind. */
  onKept?: (object: string) => void;
}

interface AbandonedScope {
  /** Only in the folder of this cluster. Absent: in the whole store, with its probes. */
  clusterName?: string;
  /** A whole listing of the store, or of that folder, for a caller that has one. */
  objects?: Iterable<ObjectInfo>;
  /** Whether objects in the folder of this cluster may be deleted. Absent: in all folders. */
  isOurs?: (clusterName: string) => boolean;
}

/** The complete backups of one resource's attempts, by any operator. Backups with a problem are left out. */
export async function findBackupsOfRun(
  store: Pick<Store, "list" | "get">,
  { uid, clusterName, runPrefix, signal }: RunQuery & { uid: string },
): Promise<Manifest[]> {
  const entries = await findBackups(store, {
    clusterName,
    signal,
    which: ({ backup }) => backup.runId.startsWith(runPrefix),
  });
  return entries.flatMap(({ manifest, problem }) =>
    problem === undefined && manifest?.owner?.uid === uid ? [manifest] : [],
  );
}

/**
 * Deletes every object of one resource's attempts. The manifests are deleted first, so that no listing shows a backup
 * without data.
 */
export async function removeRun(store: Pick<Store, "list" | "remove">, query: RunQuery): Promise<void> {
  const { manifests, data } = await objectsOf(store, query);
  for (const { name } of [...manifests, ...data]) await store.remove(name, { signal: query.signal });
}

/**
 * Deletes the orphaned objects of one resource's attempts that are older than `before`: unfinished uploads, and data
 * without a manifest. Resolves to their number.
 */
export async function sweepRun(
  store: Pick<Store, "list" | "remove" | "sweep">,
  query: RunQuery & SweepScope,
): Promise<number> {
  const { clusterName, runPrefix } = query;
  const ofRun = (name: string) => parseDataObject(name)?.runId.startsWith(runPrefix) === true;
  const uploads = await sweepUploads(store, `${clusterName}/`, ofRun, query);
  return uploads + (await removeOrphans(store, await objectsOf(store, query), query));
}

/**
 * Deletes the orphaned objects of all runs and probes that are older than `before`. A run must not be able to last from
 * `before` until now. Keeps objects with other names than this program gives, and those of other writers' folders.
 * Resolves to the number of deleted objects.
 */
export async function sweepAbandoned(
  store: Pick<Store, "list" | "remove" | "sweep">,
  { clusterName, objects, isOurs = () => true, ...scope }: SweepScope & AbandonedScope,
): Promise<number> {
  const prefix = clusterName === undefined ? "" : `${clusterName}/`;
  const isOurObject = (name: string) => isProbe(name) || isOurs(name.split("/")[0] ?? "");
  const isSwept = (name: string) =>
    isOurObject(name) && (["data", "manifest"].includes(objectKind(name)) || isProbe(name));
  const uploads = await sweepUploads(store, prefix, isSwept, scope);
  const listed = await Array.fromAsync(objects ?? store.list(prefix, { signal: scope.signal }));
  const known = await runObjectsOf(listed.filter(({ name }) => isOurObject(name)));
  return uploads + (await removeOrphans(store, known, scope));
}

function sweepUploads(
  store: Pick<Store, "sweep">,
  prefix: string,
  only: (name: string) => boolean,
  { before, dryRun = false, onOrphan, signal }: SweepScope,
): Promise<number> {
  return store.sweep(prefix, {
    before,
    only,
    dryRun,
    onSwept: ({ name, begun, size }) =>
      onOrphan?.({ object: name, modified: begun, size, kind: "UnfinishedUpload" }),
    signal,
  });
}

/** Whether Store.probe wrote the object. A probe that is killed before it deletes its object leaves it in the store. */
function isProbe(name: string): boolean {
  return /^\.probe-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name);
}

interface RunObjects {
  /** `run` is equal for the manifest and the data object of one attempt. */
  manifests: { name: string; run: string }[];
  data: (ObjectInfo & { run: string })[];
  probes: ObjectInfo[];
  /** The runs that have objects of a kind that this release does not know. */
  unknown: Set<string>;
}

/**
 * Deletes data without a manifest, and probe objects. A listing that breaks off throws, so a manifest that is not listed
 * does not exist. Data stays when its run has any object of an unknown kind: that may be the manifest of a later release.
 * An object under object lock does not keep the others from being deleted; its error is thrown at the end.
 */
async function removeOrphans(
  store: Pick<Store, "remove">,
  { manifests, data, probes, unknown }: RunObjects,
  { before, signal, dryRun = false, onKept, onOrphan }: SweepScope,
): Promise<number> {
  const complete = new Set(manifests.map((m) => m.run));
  const incomplete = data.filter((d) => !complete.has(d.run));
  for (const { name, run } of incomplete) if (unknown.has(run)) onKept?.(name);
  const abandoned = incomplete.filter(({ run }) => !unknown.has(run));
  const orphans = [
    ...abandoned.map((object) => ({ ...object, kind: "DataWithoutManifest" as const })),
    ...probes.map((object) => ({ ...object, kind: "Probe" as const })),
  ].filter(({ modified }) => modified < before);
  const locked: OperatorError[] = [];
  for (const { name, modified, size, kind } of orphans) {
    try {
      if (!dryRun) await store.remove(name, { signal });
      onOrphan?.({ object: name, modified, size, kind });
    } catch (error) {
      if (!(error instanceof OperatorError && error.code === "Refused")) throw error;
      locked.push(error);
    }
  }
  if (locked[0] !== undefined) throw locked[0];
  return orphans.length;
}

async function objectsOf(
  store: Pick<Store, "list">,
  { clusterName, runPrefix, window, signal }: RunQuery,
): Promise<RunObjects> {
  const folder = `${clusterName}/`;
  if (window === undefined) return runObjectsOf(store.list(folder, { signal }), runPrefix);
  const startAfter = `${folder}${formatTime(window.from)}`;
  // A tilde sorts after every character of an object's name.
  const end = `${folder}${formatTime(window.until)}~`;
  return runObjectsOf(until(store.list(folder, { signal, startAfter }), end), runPrefix);
}

async function* until(listed: AsyncIterable<ObjectInfo>, end: string): AsyncGenerator<ObjectInfo> {
  for await (const object of listed) {
    if (object.name > end) return;
    yield object;
  }
}

async function runObjectsOf(
  listed: AsyncIterable<ObjectInfo> | Iterable<ObjectInfo>,
  runPrefix = "",
): Promise<RunObjects> {
  const objects: RunObjects = { manifests: [], data: [], probes: [], unknown: new Set() };
  for await (const object of listed) {
    const { name } = object;
    if (isProbe(name)) objects.probes.push(object);
    const { clusterName, time, runId } = parseRun(name) ?? {};
    if (runId === undefined) continue;
    const run = `${clusterName}/${time}-${runId}`;
    const kind = objectKind(name);
    const isOfQuery = runId.startsWith(runPrefix);
    if (kind === "unknown") objects.unknown.add(run);
    else if (kind === "manifest" && isOfQuery) objects.manifests.push({ name, run });
    else if (kind === "data" && isOfQuery) objects.data.push({ ...object, run });
  }
  return objects;
}
