import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

export type BinaryName =
  | "etcd"
  | "etcdctl"
  | "etcdutl"
  | "kube-apiserver"
  | "kubectl"
  | "kube-controller-manager"
  | "kube-scheduler"
  | "kubelet"
  | "kube-proxy"
  | "coredns"
  | "versitygw"
  | "minio"
  | "helm";
export type EtcdMinor = "3.4" | "3.5" | "3.6";

/** A Go module below test/tools. Its go.mod and go.sum pin one version of its tools. */
export interface ToolModule {
  /** The folder's name, such as `etcd-3.6`. */
  name: string;
  directory: string;
  /** Directory of its binaries. A change of go.mod or go.sum changes the directory. */
  cache: string;
}

const packages: Record<BinaryName, string> = {
  etcd: "go.etcd.io/etcd/server/v3",
  etcdctl: "go.etcd.io/etcd/etcdctl/v3",
  etcdutl: "go.etcd.io/etcd/etcdutl/v3",
  "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
  kubectl: "k8s.io/kubernetes/cmd/kubectl",
  "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
  "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
  kubelet: "k8s.io/kubernetes/cmd/kubelet",
  "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
  coredns: "github.com/coredns/coredns",
  versitygw: "github.com/versity/versitygw/cmd/versitygw",
  minio: "github.com/minio/minio",
  helm: "helm.sh/helm/v3/cmd/helm",
};

export function packageOf(binary: BinaryName): string {
  return packages[binary];
}

function moduleNameOf(binary: BinaryName, minor: "3.5" | "3.6"): string {
  switch (binary) {
    case "etcd":
    case "etcdctl":
    case "etcdutl":
      return `etcd-${minor}`;
    case "kube-apiserver":
    case "kubectl":
      return "kubernetes";
    case "kube-controller-manager":
    case "kube-scheduler":
    case "kubelet":
    case "kube-proxy":
      return "kubernetes-node";
    case "versitygw":
    case "minio":
    case "helm":
    case "coredns":
      return binary;
    default:
      return binary satisfies never;
  }
}

/** Directory of the built and downloaded binaries. */
export function toolsCache(env: NodeJS.ProcessEnv): string {
  return join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "etcd-backup-operator", "tools");
}

export async function toolModule(
  binary: BinaryName,
  minor: "3.5" | "3.6",
  env: NodeJS.ProcessEnv,
): Promise<ToolModule> {
  const name = moduleNameOf(binary, minor);
  const directory = join(import.meta.dirname, "..", "tools", name);
  const hash = createHash("sha256");
  for (const file of ["go.mod", "go.sum"]) hash.update(await readFile(join(directory, file)));
  return { name, directory, cache: join(toolsCache(env), `${name}-${hash.digest("hex").slice(0, 12)}`) };
}

/** The version that go.mod pins for the binary's module, such as `v3.6.16`. */
export async function pinnedVersion(binary: BinaryName, module: ToolModule): Promise<string> {
  const goMod = await readFile(join(module.directory, "go.mod"), "utf8");
  const pins = [...goMod.matchAll(/^(?:require )?\s*(\S+) (v\S+)(?: \/\/ indirect)?$/gm)];
  const pin = pins.find(([, path]) => path !== undefined && `${packageOf(binary)}/`.startsWith(`${path}/`));
  if (pin?.[2] === undefined) throw new Error(`${module.directory}/go.mod requires no ${packageOf(binary)}`);
  return pin[2];
}
