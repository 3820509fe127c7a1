import { parseBackupName } from "../core/backup-name.ts";
import { OperatorError, asOperatorError } from "../core/errors.ts";
import type { ObjectInfo, Store } from "../store/store.ts";
import { type Manifest, maxManifestSize, parseManifest } from "./manifest.ts";

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

/** Every backup below the store, or of one cluster, newest first. What has no manifest is no backup and is left out. */
export async function listBackups(
  store: Pick<Store, "list" | "get">,
  options: { clusterName?: string; signal: AbortSignal },
): Promise<CatalogEntry[]> {
  const listing = await scan(store, options);
  const entries: CatalogEntry[] = [];
  for (let next = 0; next < listing.manifests.length; next += manifestsInFlight) {
    const batch = listing.manifests.slice(next, next + manifestsInFlight);
    const read = await Promise.all(
      batch.map((found) => readEntry(store, found, listing.sizes, options.signal)),
    );
    entries.push(...read.filter((entry) => entry !== undefined));
  }
  return entries;
}

/**
 * One backup by its name, or `latest`: the newest without a problem. Reads no more manifests than it needs. Throws
 * NotFound, VerificationFailed for one that has a problem, and Usage where the name could mean several clusters.
 */
export async function findBackup(
  store: Pick<Store, "list" | "get" | "url">,
  options: { name: string; clusterName?: string; signal: AbortSignal },
): Promise<CatalogEntry & { manifest: Manifest }> {
  const { name, clusterName, signal } = options;
  const { manifests, sizes } = await scan(store, options);
  const where = `${store.url}${clusterName === undefined ? "" : `, cluster ${clusterName}`}`;
  const wanted = name === "latest" ? manifests : manifests.filter((found) => found.name === name);
  const clusters = new Set(wanted.map((found) => found.clusterName));
  if (clusters.size > 1) {
    throw new OperatorError(
      "Usage",
      `${name} of which cluster? ${where} holds ${[...clusters].toSorted().join(", ")}`,
      { hint: "add --cluster-name" },
    );
  }
  let problem: string | undefined;
  for (const found of wanted) {
    const entry = await readEntry(store, found, sizes, signal);
    if (entry?.problem === undefined && entry?.manifest !== undefined)
      return { ...entry, manifest: entry.manifest };
    problem ??= entry?.problem;
  }
  if (problem === undefined) {
    const what = name === "latest" ? "no backup" : `no backup ${name}`;
    throw new OperatorError("NotFound", `there is ${what} in ${where}`, { hint: "see `etcd-backup list`" });
  }
  const what =
    name === "latest"
      ? `none of the ${wanted.length} backups in ${where} is whole; the newest`
      : `backup ${name} in ${where}`;
  throw new OperatorError("VerificationFailed", `${what}: ${problem}`);
}

interface FoundManifest {
  object: ObjectInfo;
  clusterName: string;
  name: string;
}

/** The manifests, newest first, and the sizes of everything else. */
async function scan(
  store: Pick<Store, "list">,
  { clusterName, signal }: { clusterName?: string; signal: AbortSignal },
): Promise<{ manifests: FoundManifest[]; sizes: Map<string, number> }> {
  const sizes = new Map<string, number>();
  const manifests: FoundManifest[] = [];
  for await (const object of store.list(clusterName === undefined ? "" : `${clusterName}/`, { signal })) {
    const backup = backupOf(object.name);
    if (backup === undefined) sizes.set(object.name, object.size);
    else manifests.push({ object, ...backup });
  }
  manifests.sort((a, b) => (a.name > b.name ? -1 : a.name < b.name ? 1 : 0));
  return { manifests, sizes };
}

function backupOf(objectName: string): { clusterName: string; name: string } | undefined {
  const match = /^([^/]+)\/([^/]+)\.json$/.exec(objectName);
  const [, clusterName, name] = match ?? [];
  return clusterName !== undefined && name !== undefined && parseBackupName(name) !== undefined
    ? { clusterName, name }
    : undefined;
}

/** Undefined when the manifest was removed after it had been listed. */
async function readEntry(
  store: Pick<Store, "get">,
  { object, clusterName, name }: FoundManifest,
  sizes: ReadonlyMap<string, number>,
  signal: AbortSignal,
): Promise<CatalogEntry | undefined> {
  const { time, revision } = parseBackupName(name) ?? { time: object.modified, revision: 0 };
  const entry = { name, clusterName, time, revision };
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
