import {
  type BackupName,
  parseBackupName,
  parseDataObject,
  parseManifestObject,
} from "../../core/backup/name.ts";
import { asOperatorError } from "../../core/errors.ts";
import type { ObjectInfo, Store } from "../../store/store.ts";
import { type ClaimListing, noteClaim } from "./claim.ts";
import { type ListedMarks, noteMarks } from "./verification.ts";
import { type Manifest, maxManifestSize, parseManifest } from "../manifest/manifest.ts";

/**
 * A backup in a listing. Without `problem` its manifest is valid and its data object has the size in the manifest. `M`:
 * what is known of the manifest.
 */
export interface CatalogEntry<M = Manifest> {
  name: string;
  clusterName: string;
  /** When the run began, from the name. */
  time: Date;
  revision: number;
  manifest?: M;
  /** Why the backup cannot be restored: its manifest or data is missing or damaged, or its last verification failed. */
  problem?: string;
  /** The problem is only that a later release wrote the manifest, in a format that this one does not know. */
  isOfLaterRelease?: true;
  /** Why the backup is not of the etcd cluster that the folder belongs to, nor of one before it. */
  stranger?: string;
}

export interface Scope {
  /** Only the backups of this cluster; those of all clusters when absent. */
  clusterName?: string;
  signal: AbortSignal;
}

export type CompleteBackup<M = Manifest> = CatalogEntry<M> & { manifest: M };

export interface ListedManifest {
  object: ObjectInfo;
  clusterName: string;
  name: string;
  backup: BackupName;
}

export async function scan(store: Pick<Store, "list">, { clusterName, signal }: Scope): Promise<Listing> {
  return listingOf(store.list(clusterName === undefined ? "" : `${clusterName}/`, { signal }));
}

export interface Listing {
  /** Newest first. */
  manifests: ListedManifest[];
  /** Bytes of the data objects, by name. */
  sizes: Map<string, number>;
  /** By cluster name. */
  claims: Map<string, ClaimListing>;
  /** The records of verifications, by cluster name. */
  marks: Map<string, ListedMarks>;
}

/** Ignores objects with other names. */
export async function listingOf(objects: AsyncIterable<ObjectInfo> | Iterable<ObjectInfo>): Promise<Listing> {
  const sizes = new Map<string, number>();
  const manifests: ListedManifest[] = [];
  const claims = new Map<string, ClaimListing>();
  const marks = new Map<string, ListedMarks>();
  for await (const object of objects) {
    const manifest = parseManifestObject(object.name);
    if (manifest !== undefined) manifests.push({ object, ...manifest });
    else if (parseDataObject(object.name) !== undefined) sizes.set(object.name, object.size);
    else if (!noteClaim(claims, object)) noteMarks(marks, object);
  }
  const newestFirst = manifests.toSorted((a, b) => (a.name > b.name ? -1 : a.name < b.name ? 1 : 0));
  return { manifests: newestFirst, sizes, claims, marks };
}

/** Bytes of the data objects in a listing, by name. */
export type DataSizes = Pick<ReadonlyMap<string, number>, "get">;

/** Why the data object is not the one that the manifest describes, as far as a listing shows it. */
export function dataProblem(stored: { object: string; bytes: number }, sizes: DataSizes): string | undefined {
  const size = sizes.get(stored.object);
  if (size === undefined) return `object ${stored.object} is missing`;
  return size === stored.bytes ? undefined : `object is ${size} bytes, the manifest says ${stored.bytes}`;
}

/** Undefined when the manifest was deleted after the listing. */
export async function readEntry(
  store: Pick<Store, "get">,
  { object, clusterName, name, backup }: ListedManifest,
  sizes: DataSizes,
  signal: AbortSignal,
): Promise<CatalogEntry | undefined> {
  const entry = { name, clusterName, time: backup.time, revision: backup.revision };
  if (object.size > maxManifestSize)
    return { ...entry, problem: `its manifest has ${object.size} bytes, more than ${maxManifestSize}` };
  try {
    const manifest = parseManifest(await readAll(store, object.name, signal), object.name);
    const problem = dataProblem(manifest.stored, sizes);
    return { ...entry, manifest, ...(problem === undefined ? {} : { problem }) };
  } catch (error) {
    const failure = asOperatorError(error);
    if (failure.code === "VerificationFailed") return { ...entry, problem: failure.message };
    if (failure.code === "Refused") return { ...entry, problem: failure.message, isOfLaterRelease: true };
    if (failure.code === "NotFound") return undefined;
    throw failure;
  }
}

/** The backup of this name, without a listing. Undefined when the store does not hold its manifest. */
export async function readNamed(
  store: Pick<Store, "get" | "head">,
  { clusterName, name }: { clusterName: string; name: string },
  signal: AbortSignal,
): Promise<CatalogEntry | undefined> {
  const backup = parseBackupName(name);
  if (backup === undefined) return undefined;
  const object = await store.head(`${clusterName}/${name}.json`, { signal });
  if (object === undefined) return undefined;
  const entry = await readEntry(store, { object, clusterName, name, backup }, new Map(), signal);
  if (entry?.manifest === undefined) return entry;
  const { problem: _, ...sound } = entry;
  const { stored } = entry.manifest;
  const data = await store.head(stored.object, { signal });
  const problem = dataProblem(stored, { get: () => data?.size });
  return { ...sound, ...(problem === undefined ? {} : { problem }) };
}

async function readAll(store: Pick<Store, "get">, name: string, signal: AbortSignal): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of store.get(name, { signal })) chunks.push(chunk);
  return Buffer.concat(chunks);
}
