import { resolve, sep } from "node:path";
import { type InitialMember, memberNamed, parseInitialCluster } from "../../restore/initial-cluster.ts";
import type { RestoreTarget } from "../../restore/work-layout.ts";
import { usage } from "../usage.ts";

/** The flags that say which members are restored, and into which directories. */
export interface LayoutFlags {
  name?: string;
  initialCluster?: string;
  initialAdvertisePeerUrls?: string;
  dataDir?: string;
  walDir?: string;
  allMembers?: boolean;
  dataDirTemplate?: string;
  walDirTemplate?: string;
  learner?: boolean;
}

export interface Layout {
  /** All voting members of the new cluster. */
  cluster: InitialMember[];
  /** The members to restore on this host, each with its directories. */
  members: { member: InitialMember; target: RestoreTarget }[];
}

/** Reads the layout from the flags alone. Throws Usage for flags that contradict each other or name no cluster. */
export function layoutOf(flags: LayoutFlags): Layout {
  if (flags.learner === true) {
    throw usage(
      "a restored cluster has voting members only",
      "restore without --learner, start the cluster, then `etcdctl member add NAME --learner --peer-urls=…`",
    );
  }
  const layout = flags.allMembers === true ? everyMember(flags) : oneMember(flags);
  checkApart(layout);
  return layout;
}

function oneMember(flags: LayoutFlags): Layout {
  for (const [given, flag, single] of [
    [flags.dataDirTemplate, "--data-dir-template", "--data-dir"],
    [flags.walDirTemplate, "--wal-dir-template", "--wal-dir"],
  ] as const)
    if (given !== undefined)
      throw usage(`${flag} needs --all-members`, `add --all-members, or give ${single} DIR instead`);
  const { dataDir, walDir, initialAdvertisePeerUrls } = flags;
  if (dataDir === undefined || dataDir === "")
    throw usage("no data directory was given", "add --data-dir DIR");
  const cluster = clusterOf(flags);
  const member = memberNamed(cluster, nameIn(cluster, flags), initialAdvertisePeerUrls);
  return { cluster, members: [{ member, target: targetOf(dataDir, walDir) }] };
}

/** etcd's own defaults of --name and --initial-advertise-peer-urls. */
const defaultName = "default";
const defaultPeerUrls = "http://localhost:2380";

function clusterOf(flags: LayoutFlags): InitialMember[] {
  const { initialCluster, name = defaultName, initialAdvertisePeerUrls = defaultPeerUrls } = flags;
  if (initialCluster !== undefined) return parseInitialCluster(initialCluster);
  const urls = initialAdvertisePeerUrls.split(",");
  return parseInitialCluster(urls.map((url) => `${name}=${url.trim()}`).join(","));
}

/** The name of the member to restore: --name may be left out where --initial-cluster has one member. */
function nameIn(cluster: readonly InitialMember[], { name, initialCluster }: LayoutFlags): string {
  if (name !== undefined) return name;
  if (initialCluster === undefined) return defaultName;
  const names = cluster.map((member) => member.name);
  const [only, ...others] = names;
  if (only === undefined || others.length > 0)
    throw usage(
      "--name is missing, and --initial-cluster has several members",
      `add --name: ${names.join(", ")}`,
    );
  return only;
}

function everyMember(flags: LayoutFlags): Layout {
  for (const [given, flag, variable] of [
    [flags.name, "--name", "ETCD_NAME"],
    [flags.dataDir, "--data-dir", "ETCD_DATA_DIR"],
    [flags.walDir, "--wal-dir", "ETCD_WAL_DIR"],
    [flags.initialAdvertisePeerUrls, "--initial-advertise-peer-urls", "ETCD_INITIAL_ADVERTISE_PEER_URLS"],
  ] as const)
    if (given !== undefined)
      throw usage(`${flag} cannot be given with --all-members`, `remove ${flag} and unset ${variable}`);
  if (flags.initialCluster === undefined)
    throw usage("--all-members needs --initial-cluster", "add --initial-cluster m1=https://…,m2=https://…");
  const { dataDirTemplate = "", walDirTemplate } = flags;
  if (dataDirTemplate === "")
    throw usage("--all-members needs --data-dir-template", `add ${shown(templates.dataDir)}`);
  const cluster = parseInitialCluster(flags.initialCluster);
  const members = cluster.map((member) => ({
    member,
    target: targetOf(
      directoryOf(dataDirTemplate, templates.dataDir, member),
      walDirTemplate === undefined ? undefined : directoryOf(walDirTemplate, templates.walDir, member),
    ),
  }));
  return { cluster, members };
}

interface TemplateFlag {
  flag: string;
  example: string;
}

const templates = {
  dataDir: { flag: "--data-dir-template", example: "/var/lib/etcd/{name}" },
  walDir: { flag: "--wal-dir-template", example: "/var/lib/etcd-wal/{name}" },
};

function shown({ flag, example }: TemplateFlag): string {
  return `${flag} '${example}'`;
}

function directoryOf(template: string, of: TemplateFlag, { name }: InitialMember): string {
  if (!template.includes("{name}")) throw usage(`${of.flag} has no {name} in it`, `write ${shown(of)}`);
  if (!/^[A-Za-z0-9._-]+$/.test(name) || /^\.+$/.test(name))
    throw usage(
      `member name ${name} cannot be part of a path`,
      "restore this member alone, with --name and --data-dir",
    );
  return template.replaceAll("{name}", name);
}

function targetOf(dataDir: string, walDir: string | undefined): RestoreTarget {
  return walDir === undefined || walDir === "" ? { dataDir } : { dataDir, walDir };
}

/** A restore renames, fills and syncs each directory by itself, so none may be inside another. */
function checkApart({ members }: Layout): void {
  const directories = members.flatMap(({ target: { dataDir, walDir } }) =>
    walDir === undefined ? [dataDir] : [dataDir, walDir],
  );
  for (const [index, one] of directories.entries())
    for (const other of directories.slice(index + 1)) {
      const problem = overlapOf(one, other);
      if (problem !== undefined)
        throw usage(problem, "give each data directory and each WAL directory a path outside the others");
    }
}

function overlapOf(one: string, other: string): string | undefined {
  if (resolve(one) === resolve(other)) return `${one} is given twice`;
  if (isBelow(one, other)) return `${one} contains ${other}`;
  if (isBelow(other, one)) return `${other} contains ${one}`;
  return undefined;
}

function isBelow(outer: string, inner: string): boolean {
  const root = resolve(outer);
  return resolve(inner).startsWith(root.endsWith(sep) ? root : root + sep);
}
