import { formatTime, parseDataObject, parseManifestObject } from "../../core/backup/name.ts";
import type { Store } from "../../store/store.ts";
import { findBackups } from "./list.ts";
import type { Manifest } from "../manifest/manifest.ts";

interface RunQuery {
  clusterName: string;
  /** What the run's identity begins with: the resource it was for. */
  runPrefix: string;
  signal: AbortSignal;
}

/** Whole backups that were made for one resource, by whichever operator. A damaged one is none. */
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

/** Removes everything that was stored for one resource: manifests first, so that no listing shows half a backup. */
export async function removeRun(store: Pick<Store, "list" | "remove">, query: RunQuery): Promise<void> {
  const { manifests, data } = await objectsOf(store, query);
  for (const { name } of [...manifests, ...data]) await store.remove(name, { signal: query.signal });
}

/** Clears away what attempts for one resource left behind: half-done uploads, and data without a manifest. */
export async function sweepRun(
  store: Pick<Store, "list" | "remove" | "sweep">,
  query: RunQuery & { before: Date },
): Promise<number> {
  const { clusterName, runPrefix, before, signal } = query;
  const ofRun = (name: string) => parseDataObject(name)?.runId.startsWith(runPrefix) === true;
  const uploads = await store.sweep(`${clusterName}/`, { before, only: ofRun, signal });
  return uploads + (await removeOrphans(store, await objectsOf(store, query), { before, signal }));
}

/**
 * Clears away what runs and probes of anybody left behind before `before`, which has to be longer ago than a run can
 * take. Objects that are not named as ours are let be. Resolves to how many there were.
 */
export async function sweepAbandoned(
  store: Pick<Store, "list" | "remove" | "sweep">,
  { before, signal }: { before: Date; signal: AbortSignal },
): Promise<number> {
  const isOurs = (name: string) =>
    parseDataObject(name) !== undefined || parseManifestObject(name) !== undefined || isProbe(name);
  const uploads = await store.sweep("", { before, only: isOurs, signal });
  return uploads + (await removeOrphans(store, await objectsOf(store, { signal }), { before, signal }));
}

/** What Store.probe writes and removes; one that was killed in between leaves it. */
function isProbe(name: string): boolean {
  return /^\.probe-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name);
}

interface RunObjects {
  /** `run` is the same for the manifest and the data of one attempt. */
  manifests: { name: string; run: string }[];
  data: { name: string; run: string; modified: Date }[];
  probes: { name: string; modified: Date }[];
}

/** Rests on a complete listing: one that fails throws, so a manifest that was not seen is not there. */
async function removeOrphans(
  store: Pick<Store, "remove">,
  { manifests, data, probes }: RunObjects,
  { before, signal }: { before: Date; signal: AbortSignal },
): Promise<number> {
  const recorded = new Set(manifests.map((m) => m.run));
  const orphans = [...data.filter((d) => !recorded.has(d.run)), ...probes].filter((o) => o.modified < before);
  for (const { name } of orphans) await store.remove(name, { signal });
  return orphans.length;
}

async function objectsOf(
  store: Pick<Store, "list">,
  { clusterName, runPrefix = "", signal }: Partial<RunQuery> & { signal: AbortSignal },
): Promise<RunObjects> {
  const found: RunObjects = { manifests: [], data: [], probes: [] };
  for await (const { name, modified } of store.list(clusterName === undefined ? "" : `${clusterName}/`, {
    signal,
  })) {
    const manifest = parseManifestObject(name);
    const data = parseDataObject(name);
    if (manifest?.backup.runId.startsWith(runPrefix) === true) {
      found.manifests.push({
        name,
        run: `${manifest.clusterName}/${formatTime(manifest.backup.time)}-${manifest.backup.runId}`,
      });
    }
    if (data?.runId.startsWith(runPrefix) === true) {
      found.data.push({ name, run: `${data.clusterName}/${data.time}-${data.runId}`, modified });
    }
    if (isProbe(name)) found.probes.push({ name, modified });
  }
  return found;
}
