import { formatTime } from "../../core/backup/name.ts";
import { OperatorError } from "../../core/errors.ts";
import type { Store } from "../../store/store.ts";
import { laterReleaseHint } from "../manifest/manifest.ts";
import { type Latest, firstComplete, latestOf } from "./latest.ts";
import {
  type CatalogEntry,
  type CompleteBackup,
  type ListedManifest,
  type Scope,
  readEntry,
  scan,
} from "./listing.ts";

/**
 * Finds a backup by its name, by the name of its data object, or by `latest` (see latestOf). Reads no more
 * manifests than needed. Throws NotFound, VerificationFailed for a backup with a problem, Refused for one of a later
 * release, and Usage when backups of several clusters match. `passedOver` are the newer backups that `latest` skipped
 * because they have a problem.
 */
export async function findBackup(
  store: Pick<Store, "list" | "get" | "url">,
  options: Scope & { name: string },
): Promise<FoundBackup> {
  const { name, clusterName, signal } = options;
  const listing = await scan(store, options);
  const { manifests, sizes } = listing;
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
  const { complete, ...seen } =
    name === "latest"
      ? await latestOf(store, listing, signal)
      : await firstComplete(matching, (listed) => readEntry(store, listed, sizes, signal));
  if (complete !== undefined) return { ...complete, ...seen };
  const { passedOver } = seen;
  const [first] = passedOver;
  if (first === undefined) {
    const what = name === "latest" ? "no backup" : `no backup ${name}`;
    throw new OperatorError("NotFound", `there is ${what} in ${where}`, { hint: "see `etcd-backup list`" });
  }
  const what =
    name === "latest"
      ? `none of the ${matching.length} backups in ${where} is complete; the newest`
      : `backup ${name} in ${where}`;
  throw problemOf(what, first);
}

/** Why a backup with a problem cannot be used: Refused for one of a later release, else VerificationFailed. */
export function problemOf(
  what: string,
  { problem, stranger, isOfLaterRelease }: CatalogEntry,
): OperatorError {
  return isOfLaterRelease === true
    ? new OperatorError("Refused", `${what}: ${problem}`, { hint: laterReleaseHint })
    : new OperatorError("VerificationFailed", `${what}: ${problem ?? stranger}`);
}

export type FoundBackup = CompleteBackup & Omit<Latest, "complete">;

/** Whether `text` is the backup's name, or the name of its data object without folder and extension. */
function hasName({ name, backup }: ListedManifest, text: string): boolean {
  return name === text || `${formatTime(backup.time)}-${backup.runId}` === text;
}
