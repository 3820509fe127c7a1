import { type BackupName, formatTime, parseDataObject, parseManifestObject } from "../../core/backup/name.ts";
import { OperatorError, asOperatorError } from "../../core/errors.ts";
import type { ObjectInfo, Store } from "../../store/store.ts";
import { type Manifest, laterReleaseHint, maxManifestSize, parseManifest } from "../manifest/manifest.ts";

/** A backup in a listing. Without `problem` its manifest is valid and its data object has the size in the manifest. */
export interface CatalogEntry {
  name: string;
  clusterName: string;
  /** When the run began, from the name. */
  time: Date;
  revision: number;
  manifest?: Manifest;
  /** Why the backup cannot be restored: the manifest is damaged, or the data object is missing or has another size. */
  problem?: string;
  /** The problem is only that a later release wrote the manifest, in a format that this one does not know. */
  isOfLaterRelease?: true;
}

/** Manifests that are read at a time. */
const manifestsInFlight = 8;

interface Scope {
  /** Only the backups of this cluster; those of all clusters when absent. */
  clusterName?: string;
  signal: AbortSignal;
}

/** All backups in the store or of one cluster, newest first. Data without a manifest is no backup and is not listed. */
export function listBackups(store: Pick<Store, "list" | "get">, scope: Scope): Promise<CatalogEntry[]> {
  return findBackups(store, { ...scope, which: () => true });
}

/** The backups that `which` selects by their names, newest first. Reads only their manifests. */
export async function findBackups(
  store: Pick<Store, "list" | "get">,
  { which, ...scope }: Scope & { which: (manifest: ListedManifest) => boolean },
): Promise<CatalogEntry[]> {
  const { manifests, sizes } = await scan(store, scope);
  const selected = manifests.filter(which);
  const entries: CatalogEntry[] = [];
  for (let next = 0; next < selected.length; next += manifestsInFlight) {
    const batch = selected.slice(next, next + manifestsInFlight);
    const read = await Promise.all(batch.map((listed) => readEntry(store, listed, sizes, scope.signal)));
    entries.push(...read.filter((entry) => entry !== undefined));
  }
  return entries;
}

/**
 * The number of backups in a whole listing, and the newest complete one. Reads manifests, newest first, only until it
 * finds that one.
 */
export async function summarize(
  store: Pick<Store, "get">,
  { objects, signal }: { objects: Iterable<ObjectInfo>; signal: AbortSignal },
): Promise<{ count: number; newest: CompleteBackup | undefined }> {
  const { manifests, sizes } = await listingOf(objects);
  const { complete } = await firstComplete(store, manifests, sizes, signal);
  return { count: manifests.length, newest: complete };
}

export type CompleteBackup = CatalogEntry & { manifest: Manifest };

/**
 * Finds a backup by its name, by the name of its data object, or by `latest`: the newest without a problem. Reads no
 * more manifests than needed. Throws NotFound, VerificationFailed for a backup with a problem, Refused for one of a later
 * release, and Usage when backups of several clusters match. `passedOver` are the newer backups that `latest` skipped
 * because they have a problem.
 */
export async function findBackup(
  store: Pick<Store, "list" | "get" | "url">,
  options: Scope & { name: string },
): Promise<CompleteBackup & { passedOver: CatalogEntry[] }> {
  const { name, clusterName, signal } = options;
  const { manifests, sizes } = await scan(store, options);
  const where = `${store.url}${clusterName === undefined ? "" : `, cluster ${clusterName}`}`;
  const matching = name === "latest" ? manifests : manifests.filter((listed) => hasName(listed, name));
  const clusters = new Set(matching.map((listed) => listed.clusterName));
  if (clusters.size > 1) {
    const known = [...clusters].toSorted().join(", ");
    const what = name === "latest" ? "" : `backup ${name} of `;
    throw new OperatorError("Usage", `the store ${where} holds ${what}several clusters: ${known}`, {
      hint: "add --cluster-name",
    });
  }
  const { complete, passedOver } = await firstComplete(store, matching, sizes, signal);
  if (complete !== undefined) return { ...complete, passedOver };
  const [first] = passedOver;
  if (first === undefined) {
    const what = name === "latest" ? "no backup" : `no backup ${name}`;
    throw new OperatorError("NotFound", `there is ${what} in ${where}`, { hint: "see `etcd-backup list`" });
  }
  const what =
    name === "latest"
      ? `none of the ${matching.length} backups in ${where} is complete; the newest`
      : `backup ${name} in ${where}`;
  if (first.isOfLaterRelease === true)
    throw new OperatorError("Refused", `${what}: ${first.problem}`, { hint: laterReleaseHint });
  throw new OperatorError("VerificationFailed", `${what}: ${first.problem}`);
}

/** Whether `text` is the backup's name, or the name of its data object without folder and extension. */
function hasName({ name, backup }: ListedManifest, text: string): boolean {
  return name === text || `${formatTime(backup.time)}-${backup.runId}` === text;
}

async function firstComplete(
  store: Pick<Store, "get">,
  manifests: readonly ListedManifest[],
  sizes: ReadonlyMap<string, number>,
  signal: AbortSignal,
): Promise<{ complete: CompleteBackup | undefined; passedOver: CatalogEntry[] }> {
  const passedOver: CatalogEntry[] = [];
  for (const listed of manifests) {
    const entry = await readEntry(store, listed, sizes, signal);
    if (entry === undefined) continue;
    const { manifest, problem } = entry;
    if (problem === undefined && manifest !== undefined)
      return { complete: { ...entry, manifest }, passedOver };
    passedOver.push(entry);
  }
  return { complete: undefined, passedOver };
}

interface ListedManifest {
  object: ObjectInfo;
  clusterName: string;
  name: string;
  backup: BackupName;
}

async function scan(store: Pick<Store, "list">, { clusterName, signal }: Scope): Promise<Listing> {
  return listingOf(store.list(clusterName === undefined ? "" : `${clusterName}/`, { signal }));
}

interface Listing {
  /** Newest first. */
  manifests: ListedManifest[];
  /** Bytes of the data objects, by name. */
  sizes: Map<string, number>;
}

/** Ignores objects with other names. */
async function listingOf(objects: AsyncIterable<ObjectInfo> | Iterable<ObjectInfo>): Promise<Listing> {
  const sizes = new Map<string, number>();
  const manifests: ListedManifest[] = [];
  for await (const object of objects) {
    const manifest = parseManifestObject(object.name);
    if (manifest !== undefined) manifests.push({ object, ...manifest });
    else if (parseDataObject(object.name) !== undefined) sizes.set(object.name, object.size);
  }
  return { manifests: manifests.toSorted((a, b) => (a.name > b.name ? -1 : a.name < b.name ? 1 : 0)), sizes };
}

/** Undefined when the manifest was deleted after the listing. */
async function readEntry(
  store: Pick<Store, "get">,
  { object, clusterName, name, backup }: ListedManifest,
  sizes: ReadonlyMap<string, number>,
  signal: AbortSignal,
): Promise<CatalogEntry | undefined> {
  const entry = { name, clusterName, time: backup.time, revision: backup.revision };
  if (object.size > maxManifestSize)
    return { ...entry, problem: `its manifest has ${object.size} bytes, more than ${maxManifestSize}` };
  try {
    const manifest = parseManifest(await readAll(store, object.name, signal), object.name);
    const size = sizes.get(manifest.stored.object);
    if (size === undefined)
      return { ...entry, manifest, problem: `object ${manifest.stored.object} is missing` };
    if (size !== manifest.stored.bytes)
      return {
        ...entry,
        manifest,
        problem: `object is ${size} bytes, the manifest says ${manifest.stored.bytes}`,
      };
    return { ...entry, manifest };
  } catch (error) {
    const failure = asOperatorError(error);
    if (failure.code === "VerificationFailed") return { ...entry, problem: failure.message };
    if (failure.code === "Refused") return { ...entry, problem: failure.message, isOfLaterRelease: true };
    if (failure.code === "NotFound") return undefined;
    throw failure;
  }
}

async function readAll(store: Pick<Store, "get">, name: string, signal: AbortSignal): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of store.get(name, { signal })) chunks.push(chunk);
  return Buffer.concat(chunks);
}
