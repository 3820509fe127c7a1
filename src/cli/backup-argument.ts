import { parseBackupName, parseDataObject } from "../core/backup/name.ts";
import type { StoreConfig } from "../store/kinds.ts";
import { isStoreUrl, parseStoreUrl } from "../store/url.ts";
import { type StoreFlags, storeOf } from "./flags.ts";
import { usage } from "./usage.ts";

/** What the BACKUP argument of status, verify, fetch and restore means. */
export type BackupArgument =
  | { kind: "file"; path: string }
  | { kind: "stored"; store: StoreConfig; name: string; clusterName?: string };

/**
 * Reads BACKUP: a backup's name or `latest` in --store, a URL that begins with the scheme of a store, and everything else
 * as a file's path. Throws Usage.
 */
export function parseBackupArgument(text: string, flags: StoreFlags): BackupArgument {
  if (text === "latest" || parseBackupName(text) !== undefined) {
    const cluster = flags.clusterName === undefined ? {} : { clusterName: flags.clusterName };
    return { kind: "stored", store: storeOf(flags), name: text, ...cluster };
  }
  return isStoreUrl(text) ? parseBackupUrl(text, flags) : { kind: "file", path: text };
}

/** `<store>/<cluster>/<name>`, also with `.json` or as the URL of the data object; settings may follow a `?`. */
function parseBackupUrl(text: string, flags: StoreFlags): BackupArgument {
  const [location = "", settings] = text.split("?", 2);
  const [, store = "", object = ""] = /^(.*)\/([^/]+\/[^/]+)$/.exec(location) ?? [];
  const [clusterName = "", file = ""] = object.split("/");
  const name = nameOf(object, file);
  if (name === undefined)
    throw usage(
      `${withoutSecret(location)} is not a backup's URL`,
      "give a URL as `etcd-backup list -o json` prints it, or one that ends in <cluster>/latest",
    );
  return { kind: "stored", store: parseStoreUrl(withSettings(store, settings, flags)), name, clusterName };
}

function nameOf(object: string, file: string): string | undefined {
  const data = parseDataObject(object);
  if (data !== undefined) return `${data.time}-${data.runId}`;
  const name = file.replace(/\.json$/, "");
  return name === "latest" || parseBackupName(name) !== undefined ? name : undefined;
}

/** An @ may follow a password that does not belong there. */
function withoutSecret(location: string): string {
  return /@|%40/.test(location) ? "the given URL (not shown, since it holds an @)" : location;
}

/** URLs of status and listings hold no settings: they get those of --store where it is the same bucket. */
function withSettings(store: string, settings: string | undefined, flags: StoreFlags): string {
  if (settings !== undefined) return `${store}?${settings}`;
  const [known = "", knownSettings] = (flags.store ?? "").split("?", 2);
  const bucketOf = (url: string): string => url.split("/").slice(0, 3).join("/");
  return knownSettings !== undefined && bucketOf(known) === bucketOf(store)
    ? `${store}?${knownSettings}`
    : store;
}
