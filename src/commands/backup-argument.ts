import { OperatorError } from "../core/errors.ts";
import { parseBackupName } from "../core/backup-name.ts";
import { type StoreFlags, storeUrlOf } from "./flags.ts";

/** What the BACKUP argument of status, verify and fetch means. */
export type BackupArgument =
  | { kind: "file"; path: string }
  | { kind: "stored"; storeUrl: string; name: string; clusterName?: string };

/** A backup's name or `latest` (with --store), a backup's URL, or else a file. */
export function parseBackupArgument(text: string, flags: StoreFlags): BackupArgument {
  if (text === "latest" || parseBackupName(text) !== undefined) {
    return {
      kind: "stored",
      storeUrl: storeUrlOf(flags),
      name: text,
      ...(flags.clusterName === undefined ? {} : { clusterName: flags.clusterName }),
    };
  }
  if (!/^(s3|file):\/\//.test(text)) return { kind: "file", path: text };
  const [location = "", query] = text.split("?", 2);
  const match = /^(.*)\/([^/]+)\/([^/]+?)(\.json)?$/.exec(location);
  const [, store, clusterName, name] = match ?? [];
  if (
    store === undefined ||
    clusterName === undefined ||
    name === undefined ||
    (name !== "latest" && parseBackupName(name) === undefined)
  ) {
    throw new OperatorError("Usage", `${location} is not a backup's URL`, {
      hint: "it ends in <cluster>/<time>-r<revision>-<run id>, as `etcd-backup list -o json` prints it, or in <cluster>/latest",
    });
  }
  return { kind: "stored", storeUrl: query === undefined ? store : `${store}?${query}`, name, clusterName };
}
