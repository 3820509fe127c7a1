/**
 * `npm run test:e2e`: the scenarios of this directory on a real Kubernetes node, which is started in namespaces of its
 * own and leaves nothing behind; or, with E2E_KUBECONFIG, on the cluster that it names (see site.ts for what else that
 * needs). Arguments go to `node --test`.
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
const ofSystem = [
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
/** Half of these are an administrator's, and not on everybody's PATH. */
const searched = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
const ofProject: BinaryName[] = [
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
  for (const name of ofProject) await binary(name);
  if (process.env["E2E_KUBECONFIG"]) return execute([...tests, ...args], {});
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    throw new Error(
      "a Kubernetes node of its own needs root on Linux; or name another cluster in E2E_KUBECONFIG (test/e2e/site.ts)",
    );
  await installMissing();
  const state = join(dirname(toolsCache(process.env)), "e2e");
  await using _ = await lockDirectory(`${state}.lock`, (pid) => console.error(`waiting for process ${pid}`));
  await clear(state);
  const images = join(state, "images");
  console.error("building images …");
  await buildImages(images);
  const namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
  const inside = [join(here, "namespaces.sh"), join(state, "node"), ...tests, ...args];
  try {
    // If we are killed, so is unshare, and with it all that is in its namespaces.
    const withUs = ["setpriv", "--pdeathsig", "KILL", "unshare"];
    return await execute([...withUs, ...namespaces, ...inside], { E2E_IMAGES: images });
  } finally {
    await clear(state);
  }
}

async function missing(): Promise<string[]> {
  const paths = await Promise.all(ofSystem.map((name) => onPath(name, searched)));
  const absent = ofSystem.filter((_, index) => paths[index]?.length === 0);
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
    console.error(`installing what is missing (${absent.join(", ")}) …`);
    await execute([script], {});
  }
  const still = await missing();
  if (still.length > 0)
    throw new Error(`not found: ${still.join(", ")}; ${script} names the packages of Debian`);
}

/** What a run left that was killed with everything it had: its files, and the cgroups of its pods. */
async function clear(state: string): Promise<void> {
  await clearCgroups();
  await rm(state, { recursive: true, force: true });
}

/** Ends with the command, whose exit code it gives; a signal to us kills all that the command started. */
async function execute(command: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [name = "", ...args] = command;
  const child = spawn(name, args, {
    stdio: "inherit",
    env: { ...originalEnvironment(), PATH: searched, ...env },
  });
  const kill = (): void => void child.kill("SIGKILL");
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, kill);
  const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  if (signal !== null) console.error(`stopped: everything that was started is gone (${signal})`);
  return code ?? 130;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
