import { type BackupName, formatTime, parseDataObject, parseManifestObject } from "../../core/backup/name.ts";
import { OperatorError, asOperatorError } from "../../core/errors.ts";
import type { ObjectInfo, Store } from "../../store/store.ts";
import { type Manifest, maxManifestSize, parseManifest } from "../manifest/manifest.ts";

/** A backup as a listing shows it. Without `problem` it has a manifest, and an object of the size that it names. */
export interface CatalogEntry {
  name: string;
  clusterName: string;
  /** From the name: when the run began. */
  time: Date;
  revision: number;
  manifest?: Manifest;
  /** Why it cannot be trusted as it is. */
  problem?: string;
}

const manifestsInFlight = 8;

interface Scope {
  /** Only this cluster's; all by default. */
  clusterName?: string;
  signal: AbortSignal;
}

/** Every backup below the store, or of one cluster, newest first. What has no manifest is no backup and is left out. */
export function listBackups(store: Pick<Store, "list" | "get">, scope: Scope): Promise<CatalogEntry[]> {
  return findBackups(store, { ...scope, which: () => true });
}

/** The backups that `which` picks by their names, newest first; only their manifests are read. */
export async function findBackups(
  store: Pick<Store, "list" | "get">,
  { which, ...scope }: Scope & { which: (found: FoundManifest) => boolean },
): Promise<CatalogEntry[]> {
  const { manifests, sizes } = await scan(store, scope);
  const wanted = manifests.filter(which);
  const entries: CatalogEntry[] = [];
  for (let next = 0; next < wanted.length; next += manifestsInFlight) {
    const batch = wanted.slice(next, next + manifestsInFlight);
    const read = await Promise.all(batch.map((found) => readEntry(store, found, sizes, scope.signal)));
    entries.push(...read.filter((entry) => entry !== undefined));
  }
  return entries;
}

/** How many backups there are, and the newest that is whole. Reads no more manifests than that takes. */
export async function summarize(
  store: Pick<Store, "list" | "get">,
  scope: Scope,
): Promise<{ count: number; newest: CompleteBackup | undefined }> {
  const { manifests, sizes } = await scan(store, scope);
  const { complete } = await firstComplete(store, manifests, sizes, scope.signal);
  return { count: manifests.length, newest: complete };
}

export type CompleteBackup = CatalogEntry & { manifest: Manifest };

/**
 * One backup by its name, by its data object's name, or `latest`: the newest without a problem. Reads no more manifests
 * than it needs. Throws NotFound, VerificationFailed for one that has a problem, and Usage where the name could mean
 * several clusters. `passedOver` are newer backups that `latest` could not mean, since they have a problem.
 */
export async function findBackup(
  store: Pick<Store, "list" | "get" | "url">,
  options: Scope & { name: string },
): Promise<CompleteBackup & { passedOver: CatalogEntry[] }> {
  const { name, clusterName, signal } = options;
  const { manifests, sizes } = await scan(store, options);
  const where = `${store.url}${clusterName === undefined ? "" : `, cluster ${clusterName}`}`;
  const wanted = name === "latest" ? manifests : manifests.filter((found) => isCalled(found, name));
  const clusters = new Set(wanted.map((found) => found.clusterName));
  if (clusters.size > 1) {
    const known = [...clusters].toSorted().join(", ");
    throw new OperatorError("Usage", `${name} of which cluster? ${where} holds ${known}`, {
      hint: "add --cluster-name",
    });
  }
  const { complete, passedOver } = await firstComplete(store, wanted, sizes, signal);
  if (complete !== undefined) return { ...complete, passedOver };
  const [first] = passedOver;
  if (first === undefined) {
    const what = name === "latest" ? "no backup" : `no backup ${name}`;
    throw new OperatorError("NotFound", `there is ${what} in ${where}`, { hint: "see `etcd-backup list`" });
  }
  const what =
    name === "latest"
      ? `none of the ${wanted.length} backups in ${where} is whole; the newest`
      : `backup ${name} in ${where}`;
  throw new OperatorError("VerificationFailed", `${what}: ${first.problem}`);
}

function isCalled({ name, backup }: FoundManifest, text: string): boolean {
  return name === text || `${formatTime(backup.time)}-${backup.runId}` === text;
}

async function firstComplete(
  store: Pick<Store, "get">,
  manifests: readonly FoundManifest[],
  sizes: ReadonlyMap<string, number>,
  signal: AbortSignal,
): Promise<{ complete: CompleteBackup | undefined; passedOver: CatalogEntry[] }> {
  const passedOver: CatalogEntry[] = [];
  for (const found of manifests) {
    const entry = await readEntry(store, found, sizes, signal);
    if (entry === undefined) continue;
    const { manifest, problem } = entry;
    if (problem === undefined && manifest !== undefined)
      return { complete: { ...entry, manifest }, passedOver };
    passedOver.push(entry);
  }
  return { complete: undefined, passedOver };
}

interface FoundManifest {
  object: ObjectInfo;
  clusterName: string;
  name: string;
  backup: BackupName;
}

/** The manifests, newest first, and the sizes of the data. Whatever else lies there is not ours and not kept in mind. */
async function scan(
  store: Pick<Store, "list">,
  { clusterName, signal }: Scope,
): Promise<{ manifests: FoundManifest[]; sizes: Map<string, number> }> {
  const sizes = new Map<string, number>();
  const manifests: FoundManifest[] = [];
  for await (const object of store.list(clusterName === undefined ? "" : `${clusterName}/`, { signal })) {
    const manifest = parseManifestObject(object.name);
    if (manifest !== undefined) manifests.push({ object, ...manifest });
    else if (parseDataObject(object.name) !== undefined) sizes.set(object.name, object.size);
  }
  return { manifests: manifests.toSorted((a, b) => (a.name > b.name ? -1 : a.name < b.name ? 1 : 0)), sizes };
}

/** Undefined when the manifest was removed after it had been listed. */
async function readEntry(
  store: Pick<Store, "get">,
  { object, clusterName, name, backup }: FoundManifest,
  sizes: ReadonlyMap<string, number>,
  signal: AbortSignal,
): Promise<CatalogEntry | undefined> {
  const entry = { name, clusterName, time: backup.time, revision: backup.revision };
  if (object.size > maxManifestSize)
    return { ...entry, problem: `its manifest is ${object.size} bytes long` };
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
    if (failure.code === "NotFound") return undefined;
    throw failure;
  }
}

async function readAll(store: Pick<Store, "get">, name: string, signal: AbortSignal): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of store.get(name, { signal })) chunks.push(chunk);
  return Buffer.concat(chunks);
}
