/**
 * `npm run test:e2e` runs the tests of this directory on a Kubernetes node, which it starts in Linux namespaces and
 * removes afterwards. With E2E_KUBECONFIG it runs them on that cluster (see site.ts for the other variables). Arguments
 * are passed on to `node --test`.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type BinaryName, binary } from "../harness/binaries.ts";
import { lockDirectory } from "../harness/directory-lock.ts";
import { originalEnvironment } from "../harness/environment.ts";
import { onPath } from "../harness/executable.ts";
import { toolsCache } from "../harness/tool-modules.ts";
import { clearCgroups } from "./cgroups.ts";
import { buildImages } from "./images.ts";

const here = import.meta.dirname;
const tests = [process.execPath, "--test", "--test-timeout=1500000", join(here, "e2e.test.ts")];
const systemPrograms = [
  "unshare",
  "ip",
  "nft",
  "conntrack",
  "containerd",
  "ctr",
  "runc",
  "buildah",
  "busybox",
  "ldd",
];
const plugins = "/usr/lib/cni/ptp";
/** Some of these programs are in sbin directories, which are not on every user's PATH. */
const searched = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
const projectPrograms: BinaryName[] = [
  "etcd",
  "etcdctl",
  "etcdutl",
  "kube-apiserver",
  "kube-controller-manager",
  "kube-scheduler",
  "kubelet",
  "kube-proxy",
  "kubectl",
  "coredns",
  "versitygw",
  "helm",
];

async function main(args: string[]): Promise<number> {
  for (const name of projectPrograms) await binary(name);
  if (process.env["E2E_KUBECONFIG"]) return execute([...tests, ...args], {});
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    throw new Error(
      "starting a Kubernetes node needs root on Linux; or set E2E_KUBECONFIG to another cluster (see test/e2e/site.ts)",
    );
  await installMissing();
  const state = join(dirname(toolsCache(process.env)), "e2e");
  await using _ = await lockDirectory(`${state}.lock`, (pid) => console.error(`waiting for process ${pid}`));
  await removeState(state);
  const images = join(state, "images");
  console.error("building images …");
  await buildImages(images);
  const namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
  const inside = [join(here, "namespaces.sh"), join(state, "node"), ...tests, ...args];
  try {
    // When this process is killed, unshare is killed too, and with it everything in its namespaces.
    const killedWithParent = ["setpriv", "--pdeathsig", "KILL", "unshare"];
    return await execute([...killedWithParent, ...namespaces, ...inside], { E2E_IMAGES: images });
  } finally {
    await removeState(state);
  }
}

async function missing(): Promise<string[]> {
  const paths = await Promise.all(systemPrograms.map((name) => onPath(name, searched)));
  const absent = systemPrograms.filter((_, index) => paths[index]?.length === 0);
  const hasPlugins = await access(plugins).then(
    () => true,
    () => false,
  );
  return hasPlugins ? absent : [...absent, plugins];
}

async function installMissing(): Promise<void> {
  const absent = await missing();
  if (absent.length === 0) return;
  const script = join(here, "install-debian.sh");
  if ((await onPath("apt-get", searched)).length > 0) {
    console.error(`installing ${absent.join(", ")} …`);
    await execute([script], {});
  }
  const still = await missing();
  if (still.length > 0)
    throw new Error(`not found: ${still.join(", ")}; see the packages of Debian in ${script}`);
}

/** Removes the files and the cgroups of a run, also of one that was killed. */
async function removeState(state: string): Promise<void> {
  await clearCgroups();
  await rm(state, { recursive: true, force: true });
}

/** Runs a command and returns its exit code. A signal to this process kills the command. */
async function execute(command: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [name = "", ...args] = command;
  const child = spawn(name, args, {
    stdio: "inherit",
    env: { ...originalEnvironment(), PATH: searched, ...env },
  });
  const kill = (): void => void child.kill("SIGKILL");
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, kill);
  const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  if (signal !== null) console.error(`stopped by ${signal}: every process of the run was killed`);
  return code ?? 130;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
