import { resolve, sep } from "node:path";
import { parseEtcdVersion } from "../../core/etcd/version.ts";
import { OperatorError } from "../../core/errors.ts";
import {
  type InitialMember,
  formatInitialCluster,
  memberNamed,
  parseInitialCluster,
} from "../../restore/initial-cluster.ts";
import { checkTarget } from "../../restore/target.ts";
import { type RestorePlan, type SnapshotSource, restoreMembers } from "../../restore/restore-members.ts";
import { findRestoreTool, freshToken } from "../../restore/tool.ts";
import { download, writeAll } from "../../backup/download.ts";
import { describeFailures, plainChecks } from "../../backup/verify.ts";
import { openStore } from "../../store/open.ts";
import { parseBackupArgument } from "../backup-argument.ts";
import type { Context, GlobalFlags } from "../context.ts";
import { type OutputFormat, type StoreFlags, wholeNumber } from "../flags.ts";
import { print } from "../output.ts";
import { type Progress, progress } from "../progress.ts";
import { readSnapshotFile, snapshotFileSize } from "../snapshot-file.ts";
import { findStored } from "../find-stored.ts";
import { usage } from "../usage.ts";

export interface RestoreFlags extends GlobalFlags, StoreFlags {
  name?: string;
  initialCluster?: string;
  initialClusterToken?: string;
  initialAdvertisePeerUrls?: string;
  dataDir?: string;
  walDir?: string;
  allMembers?: boolean;
  dataDirTemplate?: string;
  walDirTemplate?: string;
  bumpRevision: string;
  etcdutl?: string;
  learner?: boolean;
  output: OutputFormat;
}

type Layout = Pick<RestorePlan, "cluster" | "members">;

/** `etcd-backup restore`: data directories of a new cluster, or what was there before and a reason. */
export async function restore(text: string, flags: RestoreFlags, context: Context): Promise<void> {
  const layout = layoutOf(flags);
  checkApart(layout);
  const bump = wholeNumber(flags.bumpRevision, "--bump-revision");
  const token = flags.initialClusterToken ?? freshToken(context.now());
  const { signal, env, now } = context;
  // What is in the way is told before anything is asked of a store.
  for (const { target } of layout.members) await checkTarget(target);
  const tool = await findRestoreTool(flags.etcdutl, { env, signal });
  using lines = progress(context, flags);
  await using source = await openSource(text, flags, { ...context, lines });
  const plan: RestorePlan = {
    ...layout,
    source,
    tool,
    token,
    bump,
    now,
    signal,
    onStep(step) {
      if (step.step === "Verified") lines.say(`verified    ${source.name}, revision ${step.revision}`);
      if (step.step === "Restoring")
        lines.say(`restoring   ${step.member} with ${tool.kind} ${tool.release}`);
    },
  };
  const { revision } = await restoreMembers(plan);
  lines[Symbol.dispose]();
  const result = {
    backup: source.name,
    revision,
    nextRevision: bump === 0 ? revision : revision + bump,
    token,
    initialCluster: formatInitialCluster(layout.cluster),
    members: layout.members.map(({ member, target }) => ({ name: member.name, ...target })),
  };
  await print(context, flags.output, result, () =>
    report(result, { again: [...source.again, ...sameFlags(flags)], layout }),
  );
}

function layoutOf(flags: RestoreFlags): Layout {
  if (flags.learner === true) {
    throw usage(
      "a restored cluster has voting members only",
      "restore without --learner, start the cluster, then `etcdctl member add NAME --learner --peer-urls=…`",
    );
  }
  return flags.allMembers === true ? everyMember(flags) : oneMember(flags);
}

/** Without --initial-cluster it is etcd's own default: one member, reached on this host alone. */
function oneMember(flags: RestoreFlags): Layout {
  const name = flags.name ?? "default";
  const advertised = flags.initialAdvertisePeerUrls;
  for (const flag of ["dataDirTemplate", "walDirTemplate"] as const)
    if (flags[flag] !== undefined) throw usage(`--${kebab(flag)} goes with --all-members`);
  if (flags.dataDir === undefined || flags.dataDir === "")
    throw usage("no data directory was given", "add --data-dir DIR");
  const given = flags.initialCluster;
  const urls = (advertised ?? "http://localhost:2380").split(",");
  const cluster = parseInitialCluster(given ?? urls.map((url) => `${name}=${url.trim()}`).join(","));
  if (given !== undefined && flags.name === undefined && cluster.length > 1)
    throw usage("which member is this?", `add --name: ${cluster.map((one) => one.name).join(", ")}`);
  const [only] = cluster;
  const member =
    given !== undefined && flags.name === undefined && only !== undefined
      ? memberNamed(cluster, only.name, advertised)
      : memberNamed(cluster, name, advertised);
  return { cluster, members: [{ member, target: targetOf(flags.dataDir, flags.walDir) }] };
}

function everyMember(flags: RestoreFlags): Layout {
  for (const flag of ["name", "dataDir", "walDir", "initialAdvertisePeerUrls"] as const)
    if (flags[flag] !== undefined)
      throw usage(
        `--${kebab(flag)} is for one member, and --all-members was given`,
        "leave it out, also as a variable (ETCD_NAME, ETCD_DATA_DIR, …)",
      );
  if (flags.initialCluster === undefined)
    throw usage("--all-members of which cluster?", "add --initial-cluster m1=https://…,m2=https://…");
  const { dataDirTemplate = "", walDirTemplate } = flags;
  const cluster = parseInitialCluster(flags.initialCluster);
  const members = cluster.map((member) => ({
    member,
    target: targetOf(
      directoryOf(dataDirTemplate, "--data-dir-template", member),
      walDirTemplate === undefined ? undefined : directoryOf(walDirTemplate, "--wal-dir-template", member),
    ),
  }));
  return { cluster, members };
}

function directoryOf(template: string, flag: string, { name }: InitialMember): string {
  if (!template.includes("{name}"))
    throw usage(`${flag} has no {name} in it`, `write ${flag} '/var/lib/etcd/{name}'`);
  if (!/^[A-Za-z0-9._-]+$/.test(name) || /^\.+$/.test(name))
    throw usage(`member ${name} cannot be part of a path`, "restore it alone, with --name and --data-dir");
  return template.replaceAll("{name}", name);
}

function targetOf(dataDir: string, walDir: string | undefined) {
  return walDir === undefined || walDir === "" ? { dataDir } : { dataDir, walDir };
}

/** Each directory is renamed, filled and synced by itself. */
function checkApart({ members }: Layout): void {
  const directories = members.flatMap(({ target: { dataDir, walDir } }) =>
    walDir === undefined ? [dataDir] : [dataDir, walDir],
  );
  for (const [index, one] of directories.entries())
    for (const other of directories.slice(index + 1))
      if (contains(one, other) || contains(other, one))
        throw usage(
          one === other ? `${one} is given twice` : `${one} and ${other} lie one in the other`,
          "give each data directory and each WAL directory a place of its own",
        );
}

function contains(outer: string, inner: string): boolean {
  const end = (path: string): string => (path.endsWith(sep) ? path : path + sep);
  return end(resolve(inner)).startsWith(end(resolve(outer)));
}

/** `again`: what names exactly this backup, whatever is the latest then, on another command line. */
type Opened = SnapshotSource & AsyncDisposable & { again: string[] };

async function openSource(
  text: string,
  flags: RestoreFlags,
  context: Context & { lines: Progress },
): Promise<Opened> {
  const { signal, lines } = context;
  const backup = parseBackupArgument(text, flags);
  const onProgress = (done: number, total: number) => lines.update("verifying ", done, total);
  if (backup.kind === "file") {
    const { path } = backup;
    return {
      name: path,
      again: [path],
      bytes: await snapshotFileSize(path),
      etcdVersion: undefined,
      async write(file) {
        let unwritable: unknown;
        const write = (chunk: Uint8Array) =>
          writeAll(file, chunk).catch((error: unknown) => {
            unwritable = error;
            throw error;
          });
        const reading = await readSnapshotFile(path, signal, onProgress, write).catch((error: unknown) => {
          throw unwritable ?? error;
        });
        const { status, trailer } = reading;
        const failures = describeFailures(plainChecks(reading));
        if (failures !== undefined || status === undefined)
          throw new OperatorError("VerificationFailed", `${path} must not be restored: ${failures ?? ""}`, {
            hint:
              trailer === "missing"
                ? "choose another backup; a copy of member/snap/db has no trailer: if it is all there is, see docs/runbooks/quorum-lost.md"
                : "choose another backup",
          });
        const etcdVersion = parseEtcdVersion(status.storageVersion || status.facts.clusterVersion);
        return {
          revision: status.revision,
          sha256: reading.sha256,
          ...(etcdVersion === undefined ? {} : { etcdVersion }),
        };
      },
      async [Symbol.asyncDispose]() {},
    };
  }
  const store = await openStore(backup.store, { env: context.env });
  try {
    const { manifest } = await findStored(store, backup, context);
    const { snapshot, member } = manifest;
    const name = `${store.url}/${manifest.cluster.name}/${manifest.name}`;
    const [, settings] = text.split("?", 2);
    return {
      name,
      again:
        settings === undefined
          ? [name, ...(flags.store ? ["--store", flags.store] : [])]
          : [`${name}?${settings}`],
      bytes: snapshot.totalSizeBytes,
      etcdVersion: parseEtcdVersion(member.version),
      async write(file) {
        await download(store, manifest, file, { signal, onProgress });
        return { revision: snapshot.revision, sha256: snapshot.sha256 };
      },
      [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
    };
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
}

interface Result {
  backup: string;
  revision: number;
  nextRevision: number;
  token: string;
  initialCluster: string;
  members: { name: string; dataDir: string; walDir?: string }[];
}

function report(result: Result, run: { again: string[]; layout: Layout }): string {
  const { backup, revision, nextRevision, token, members } = result;
  const width = Math.max(...members.map(({ name }) => name.length));
  const revisions =
    nextRevision === revision
      ? `${revision}`
      : `${revision}, and ${nextRevision} from here on: watches made before end with ErrCompacted`;
  const lines = [
    ...members.map(
      ({ name, dataDir, walDir }, i) =>
        `${i === 0 ? "RESTORED  " : "          "}${name.padEnd(width)}  ${dataDir}${walDir === undefined ? "" : `, log in ${walDir}`}`,
    ),
    `BACKUP    ${backup}`,
    `REVISION  ${revisions}`,
    `TOKEN     ${token}`,
    "",
    ...nextSteps(result, run),
  ];
  return `${lines.join("\n")}\n`;
}

function nextSteps(result: Result, { again, layout }: { again: string[]; layout: Layout }): string[] {
  const { initialCluster, token } = result;
  const done = new Set(result.members.map(({ name }) => name));
  const others = layout.cluster.filter(({ name }) => !done.has(name));
  const start =
    "start etcd on every member, with the same name and peer URLs, and look: etcdctl endpoint hashkv --cluster";
  if (others.length === 0) return [`Next: ${start}`];
  const cluster = ["--initial-cluster", initialCluster, "--initial-cluster-token", token];
  return [
    "Next: the same backup on each other member, with the same token:",
    ...others.map(({ name }) => {
      const words = ["etcd-backup", "restore", ...again, "--name", name, ...cluster];
      return `  ${words.map(quoted).join(" ")}`;
    }),
    `Then ${start}`,
  ];
}

/** What the other members' hosts have alike. */
function sameFlags({ dataDir = "", walDir = "", etcdutl, bumpRevision }: RestoreFlags): string[] {
  return [
    "--data-dir",
    dataDir,
    ...(walDir === "" ? [] : ["--wal-dir", walDir]),
    ...(etcdutl === undefined ? [] : ["--etcdutl", etcdutl]),
    ...(bumpRevision === defaultBump ? [] : ["--bump-revision", bumpRevision]),
  ];
}

/** For a shell. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/** Far beyond what a cluster writes between a backup and its loss. */
export const defaultBump = "1000000000";

function kebab(flag: string): string {
  return flag.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
