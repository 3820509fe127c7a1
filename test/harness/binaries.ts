import { join } from "node:path";
import { debianEtcd } from "./debian-etcd.ts";
import { originalEnvironment } from "./environment.ts";
import { isExecutable, onPath } from "./executable.ts";
import { builtBinary } from "./go-build.ts";
import { run } from "./process.ts";
import { type BinaryName, type EtcdMinor, pinnedVersion, toolModule } from "./tool-modules.ts";
import { UnavailableBinary } from "./unavailable-binary.ts";

export type { BinaryName, EtcdMinor } from "./tool-modules.ts";
export { UnavailableBinary } from "./unavailable-binary.ts";

const givenAsFile: ReadonlySet<BinaryName> = new Set(["versitygw", "minio", "helm"]);
const etcdTools: ReadonlySet<BinaryName> = new Set(["etcd", "etcdctl", "etcdutl"]);
const pathsByBinary = new Map<string, Promise<string>>();

/** `findBinary` in the environment in which the tests were started. Looks each binary up once. */
export function binary(name: BinaryName, minor: EtcdMinor = "3.6"): Promise<string> {
  const key = `${name} ${etcdTools.has(name) ? minor : ""}`;
  const path = pathsByBinary.get(key) ?? findBinary(name, minor, originalEnvironment());
  pathsByBinary.set(key, path);
  return path;
}

/**
 * Finds a real server or tool, in this order:
 *
 * 1. variables: `ETCD_3_4_DIR`, `ETCD_3_5_DIR`, `ETCD_3_6_DIR` (a directory with etcd, etcdctl, etcdutl),
 *    `KUBEBUILDER_ASSETS` (a directory with etcd, etcdctl, kube-apiserver, kubectl), `VERSITYGW`, `MINIO`, `HELM` (a file).
 *    If a directory lacks a binary, or `KUBEBUILDER_ASSETS` has another minor version of etcd, the search continues;
 * 2. PATH, if the minor version fits (kubectl: at most one minor version away from the API server's);
 * 3. the cache, `$XDG_CACHE_HOME/etcd-backup-operator/tools/`. A missing binary is built with `go build`, in the version
 *    that test/tools/<module>/go.mod pins; etcd 3.4 comes from Debian's packages.
 *
 * Throws `UnavailableBinary` if the binary can neither be found nor built.
 */
export async function findBinary(
  name: BinaryName,
  minor: EtcdMinor,
  env: NodeJS.ProcessEnv,
): Promise<string> {
  const isWanted = await versionRule(name, minor, env);
  const given = await fromVariables(name, minor, isWanted, env);
  if (given !== undefined) return given;
  for (const path of await onPath(name, env["PATH"])) if (isWanted(await versionOf(path, name))) return path;
  if (minor === "3.4" && etcdTools.has(name)) {
    if (name === "etcd" || name === "etcdctl") return debianEtcd(name, env);
    throw new UnavailableBinary(`etcd 3.4 has no ${name}; its etcdctl does what ${name} does`);
  }
  return builtBinary(name, await toolModule(name, minor === "3.5" ? "3.5" : "3.6", env), env);
}

interface Version {
  major: number;
  minor: number;
}

/** A predicate for the version of a binary that was found; undefined stands for an unknown version. */
async function versionRule(
  name: BinaryName,
  minor: EtcdMinor,
  env: NodeJS.ProcessEnv,
): Promise<(version: Version | undefined) => boolean> {
  if (name === "versitygw" || name === "minio") return () => true;
  const pinned = etcdTools.has(name)
    ? parseVersion(`${minor}.0`)
    : parseVersion(await pinnedVersion(name, await toolModule(name, "3.6", env)));
  const skew = name === "kubectl" ? 1 : 0;
  return (version) =>
    version !== undefined &&
    version.major === pinned?.major &&
    Math.abs(version.minor - pinned.minor) <= skew;
}

async function fromVariables(
  name: BinaryName,
  minor: EtcdMinor,
  isWanted: (version: Version | undefined) => boolean,
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  if (givenAsFile.has(name)) return givenFile(name.toUpperCase(), env);
  const directory = env[`ETCD_${minor.replace(".", "_")}_DIR`];
  if (etcdTools.has(name) && directory && (await isExecutable(join(directory, name)))) {
    return join(directory, name);
  }
  const assets = env["KUBEBUILDER_ASSETS"];
  if (!assets || !(await isExecutable(join(assets, name)))) return undefined;
  // The user chose this directory, so any version is accepted, except for etcd: the tests need three versions of it.
  const path = join(assets, name);
  return !etcdTools.has(name) || isWanted(await versionOf(path, name)) ? path : undefined;
}

async function givenFile(variable: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const file = env[variable];
  if (!file || (await isExecutable(file))) return file || undefined;
  throw new UnavailableBinary(`${variable} names ${file}, which is not an executable file`);
}

async function versionOf(path: string, name: BinaryName): Promise<Version | undefined> {
  if (name === "versitygw" || name === "minio") return undefined;
  const versionArgs = {
    etcd: ["--version"],
    etcdctl: ["version"],
    etcdutl: ["version"],
    "kube-apiserver": ["--version"],
    kubectl: ["version", "--client"],
    "kube-controller-manager": ["--version"],
    "kube-scheduler": ["--version"],
    kubelet: ["--version"],
    "kube-proxy": ["--version"],
    coredns: ["-version"],
    helm: ["version", "--short"],
  }[name];
  const { stdout } = await run(path, versionArgs, { env: { ETCDCTL_API: "3" } }).catch(() => ({
    stdout: "",
  }));
  return parseVersion(stdout);
}

/** The first version number in a text. */
function parseVersion(text: string): Version | undefined {
  const [, major, minor] = /(\d+)\.(\d+)\.\d+/.exec(text) ?? [];
  return major === undefined || minor === undefined
    ? undefined
    : { major: Number(major), minor: Number(minor) };
}
