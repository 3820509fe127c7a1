import { parseBackupName, parseDataObject } from "../core/backup/name.ts";
import { type StoreConfig, parseStoreUrl } from "../store/url.ts";
import { type StoreFlags, storeOf } from "./flags.ts";
import { usage } from "./usage.ts";

/** What the BACKUP argument of status, verify and fetch means. */
export type BackupArgument =
  | { kind: "file"; path: string }
  | { kind: "stored"; store: StoreConfig; name: string; clusterName?: string };

/** A backup's name or `latest` (with --store), a backup's URL, or else a file. */
export function parseBackupArgument(text: string, flags: StoreFlags): BackupArgument {
  if (text === "latest" || parseBackupName(text) !== undefined) {
    const cluster = flags.clusterName === undefined ? {} : { clusterName: flags.clusterName };
    return { kind: "stored", store: storeOf(flags), name: text, ...cluster };
  }
  if (!/^(s3|file):\/\//.test(text)) return { kind: "file", path: text };
  const [location = "", query] = text.split("?", 2);
  const match = /^(.*)\/([^/]+\/[^/]+)$/.exec(location);
  const [, store = "", object = ""] = match ?? [];
  const [clusterName = "", last = ""] = object.split("/");
  const data = parseDataObject(object);
  const name = data === undefined ? last.replace(/\.json$/, "") : `${data.time}-${data.runId}`;
  if (data === undefined && name !== "latest" && parseBackupName(name) === undefined) {
    throw usage(
      `${location} is not a backup's URL`,
      "it ends in <cluster>/<name>, as `etcd-backup list -o json` prints it, or in <cluster>/latest",
    );
  }
  return { kind: "stored", store: parseStoreUrl(withSettings(store, query, flags)), name, clusterName };
}

/** The URLs that status and listings show hold no settings: those of --store count, where it is the same bucket. */
function withSettings(store: string, query: string | undefined, flags: StoreFlags): string {
  if (query !== undefined) return `${store}?${query}`;
  const [known = "", settings] = (flags.store ?? "").split("?", 2);
  const bucketOf = (url: string) => url.split("/").slice(0, 3).join("/");
  return settings !== undefined && bucketOf(known) === bucketOf(store) ? `${store}?${settings}` : store;
}
