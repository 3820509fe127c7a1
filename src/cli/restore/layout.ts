import { resolve, sep } from "node:path";
import { type InitialMember, memberNamed, parseInitialCluster } from "../../restore/initial-cluster.ts";
import type { Target } from "../../restore/target.ts";
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
  members: { member: InitialMember; target: Target }[];
}

/** Reads the layout from the flags alone. Throws Usage for flags that contradict each other or describe no cluster. */
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

/** Without --initial-cluster, as etcd itself: a cluster of one member at http://localhost:2380. */
function oneMember(flags: LayoutFlags): Layout {
  for (const flag of ["dataDirTemplate", "walDirTemplate"] as const)
    if (flags[flag] !== undefined) throw usage(`--${kebab(flag)} goes with --all-members`);
  if (flags.dataDir === undefined || flags.dataDir === "")
    throw usage("no data directory was given", "add --data-dir DIR");
  const cluster = clusterOf(flags);
  const member = memberNamed(cluster, nameIn(cluster, flags), flags.initialAdvertisePeerUrls);
  return { cluster, members: [{ member, target: targetOf(flags.dataDir, flags.walDir) }] };
}

const defaultName = "default";

function clusterOf({ name = defaultName, initialCluster, initialAdvertisePeerUrls }: LayoutFlags) {
  const urls = (initialAdvertisePeerUrls ?? "http://localhost:2380").split(",");
  return parseInitialCluster(initialCluster ?? urls.map((url) => `${name}=${url.trim()}`).join(","));
}

/** The name of the member to restore: --name may be left out where the cluster has one member. */
function nameIn(cluster: InitialMember[], { name, initialCluster }: LayoutFlags): string {
  if (name !== undefined) return name;
  if (initialCluster === undefined) return defaultName;
  const [only, ...others] = cluster.map((member) => member.name);
  if (only === undefined || others.length > 0)
    throw usage("which member is this?", `add --name: ${cluster.map((member) => member.name).join(", ")}`);
  return only;
}

function everyMember(flags: LayoutFlags): Layout {
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

function targetOf(dataDir: string, walDir: string | undefined): Target {
  return walDir === undefined || walDir === "" ? { dataDir } : { dataDir, walDir };
}

/** A restore renames, fills and syncs each directory by itself: none may hold another. */
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

/** Also true for the same directory. */
function contains(outer: string, inner: string): boolean {
  const withSeparator = (path: string): string => (path.endsWith(sep) ? path : path + sep);
  return withSeparator(resolve(inner)).startsWith(withSeparator(resolve(outer)));
}

function kebab(flag: string): string {
  return flag.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
