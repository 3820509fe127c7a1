import type { BackupArgument } from "../backup-argument.ts";
import { type RestoreFlags, defaultBumpRevision } from "./flags.ts";
import type { Layout } from "./layout.ts";

/** What `restore -o json` prints. */
export interface RestoreOutput {
  /** The snapshot file, or the backup's URL without settings. */
  backup: string;
  /** Of the snapshot. */
  revision: number;
  /** Of the restored cluster before its first write. */
  nextRevision: number;
  token: string;
  /** Of the restored cluster, hex: etcd computes it from the token and the peer URLs. */
  clusterID: string;
  initialCluster: string;
  /** Those that were restored. */
  members: { name: string; dataDir: string; walDir?: string }[];
}

/** The command line that had this result. */
export interface RestoreCommand {
  /** BACKUP as it was given. */
  text: string;
  kind: BackupArgument["kind"];
  flags: Pick<RestoreFlags, "store" | "dataDir" | "walDir" | "etcdutl" | "bumpRevision">;
  layout: Layout;
  /** Whether the store knows that the new cluster follows the one of the backup. */
  isIntroduced: boolean;
}

/** The result as text, with a command for each member that is still to be restored. */
export function restoreReport(result: RestoreOutput, command: RestoreCommand): string {
  const { backup, revision, nextRevision, token, clusterID, members } = result;
  const width = Math.max(...members.map(({ name }) => name.length));
  const revisions =
    nextRevision === revision
      ? `${revision}`
      : `${revision}, raised to ${nextRevision}: older watches end with ErrCompacted`;
  const lines = [
    ...members.map(
      ({ name, dataDir, walDir }, i) =>
        `${i === 0 ? "RESTORED  " : "          "}${name.padEnd(width)}  ${dataDir}${walDir === undefined ? "" : `, log in ${walDir}`}`,
    ),
    `BACKUP    ${backup}`,
    `REVISION  ${revisions}`,
    `TOKEN     ${token}`,
    `CLUSTER   ${clusterID}`,
    "",
    ...nextSteps(result, command),
    ...claimStep(result, command),
  ];
  return `${lines.join("\n")}\n`;
}

function nextSteps(result: RestoreOutput, command: RestoreCommand): string[] {
  const restored = new Set(result.members.map(({ name }) => name));
  const others = command.layout.cluster.filter(({ name }) => !restored.has(name));
  const start =
    "start etcd on every member, with the same name and peer URLs, then compare the members: etcdctl endpoint hashkv --cluster";
  if (others.length === 0) return [`Next: ${start}`];
  return [
    "Next: the same backup on each other member, with the same token:",
    ...others.map(({ name }) => `  ${commandFor(name, result, command).map(shellQuoted).join(" ")}`),
    `Then ${start}`,
  ];
}

/** A cluster that the store does not know may not store its backups in the folder of the old one. */
function claimStep({ clusterID }: RestoreOutput, { isIntroduced }: RestoreCommand): string[] {
  return isIntroduced
    ? []
    : [
        "Before its first backup under the name of the old cluster, give it that cluster's folder:",
        `  etcd-backup claim take --store STORE --cluster-name NAME --etcd-cluster-id ${clusterID}`,
      ];
}

function commandFor(
  member: string,
  { backup, initialCluster, token }: RestoreOutput,
  { text, kind, flags }: RestoreCommand,
): string[] {
  const { dataDir = "", walDir = "", etcdutl, bumpRevision } = flags;
  return [
    "etcd-backup",
    "restore",
    ...(kind === "file" ? [backup] : storedArguments(text, backup, flags.store)),
    "--data-dir",
    dataDir,
    ...(walDir === "" ? [] : ["--wal-dir", walDir]),
    ...(etcdutl === undefined ? [] : ["--etcdutl", etcdutl]),
    ...(bumpRevision === defaultBumpRevision ? [] : ["--bump-revision", bumpRevision]),
    "--name",
    member,
    "--initial-cluster",
    initialCluster,
    "--initial-cluster-token",
    token,
  ];
}

/** Names this very backup, even when `latest` means another one by then; with the settings of its store. */
function storedArguments(text: string, url: string, store: string | undefined): string[] {
  const [, settings] = text.split("?", 2);
  if (settings !== undefined) return [`${url}?${settings}`];
  return store ? [url, "--store", store] : [url];
}

function shellQuoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
