import { type BackupName, parseDataObject, parseManifestObject } from "../../core/backup/name.ts";
import { asOperatorError } from "../../core/errors.ts";
import type { ObjectInfo, Store } from "../../store/store.ts";
import { type ClaimListing, noteClaim } from "./claim.ts";
import { type Manifest, maxManifestSize, parseManifest } from "../manifest/manifest.ts";

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
  /** Why the backup is not of the etcd cluster that the folder belongs to, nor of one before it. */
  stranger?: string;
}

export interface Scope {
  /** Only the backups of this cluster; those of all clusters when absent. */
  clusterName?: string;
  signal: AbortSignal;
}

export type CompleteBackup = CatalogEntry & { manifest: Manifest };

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
}

/** Ignores objects with other names. */
export async function listingOf(objects: AsyncIterable<ObjectInfo> | Iterable<ObjectInfo>): Promise<Listing> {
  const sizes = new Map<string, number>();
  const manifests: ListedManifest[] = [];
  const claims = new Map<string, ClaimListing>();
  for await (const object of objects) {
    const manifest = parseManifestObject(object.name);
    if (manifest !== undefined) manifests.push({ object, ...manifest });
    else if (parseDataObject(object.name) !== undefined) sizes.set(object.name, object.size);
    else noteClaim(claims, object);
  }
  const newestFirst = manifests.toSorted((a, b) => (a.name > b.name ? -1 : a.name < b.name ? 1 : 0));
  return { manifests: newestFirst, sizes, claims };
}

/** Undefined when the manifest was deleted after the listing. */
export async function readEntry(
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
