import { randomUUID } from "node:crypto";
import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { withProgress } from "./build-progress.ts";
import { lockDirectory } from "./directory-lock.ts";
import { isExecutable } from "./executable.ts";
import { run } from "./process.ts";
import { type BinaryName, packageOf, pinnedVersion, type ToolModule } from "./tool-modules.ts";
import { UnavailableBinary } from "./unavailable-binary.ts";

/** Build times with an empty Go cache, on two cores. */
const buildTimes: Record<BinaryName, string> = {
  etcd: "30 s",
  etcdctl: "20 s",
  etcdutl: "20 s",
  "kube-apiserver": "4 min",
  kubectl: "1 min",
  "kube-controller-manager": "3 min",
  "kube-scheduler": "1 min",
  kubelet: "5 min",
  "kube-proxy": "1 min",
  coredns: "4 min",
  versitygw: "1 min",
  minio: "2 min",
  helm: "1 min",
};

/**
 * Returns the binary in the module's cache directory, and builds it if it is missing. If several processes call it at the
 * same time, one builds and the others wait. An interrupted build leaves no finished binary.
 */
export async function builtBinary(
  name: BinaryName,
  module: ToolModule,
  env: NodeJS.ProcessEnv,
): Promise<string> {
  const target = join(module.cache, name);
  if (await isExecutable(target)) return target;
  await mkdir(module.cache, { recursive: true });
  let announced = false;
  await using lock = await lockDirectory(`${target}.lock`, (pid) => {
    if (!announced) process.stderr.write(`waiting for process ${pid} to build ${name}\n`);
    announced = true;
  });
  if (await isExecutable(target)) return target;
  const version = await pinnedVersion(name, module);
  const unfinished = join(lock.path, `${name}.${randomUUID()}`);
  await withProgress(`building ${name} ${version.replace(/^v/, "")} (once, about ${buildTimes[name]})`, () =>
    goBuild(name, module, version, { output: unfinished, workDirectory: lock.path, env }),
  );
  await rename(unfinished, target);
  return target;
}

async function goBuild(
  name: BinaryName,
  module: ToolModule,
  version: string,
  { output, workDirectory, env }: { output: string; workDirectory: string; env: NodeJS.ProcessEnv },
): Promise<void> {
  const flags = ["-s -w", ...linkerVersions(name, version)].join(" ");
  const args = ["build", "-trimpath", "-ldflags", flags, "-o", output, packageOf(name)];
  const goEnv = { ...env, CGO_ENABLED: "0", GOFLAGS: "-mod=readonly", GOTMPDIR: workDirectory };
  const result = await run("go", args, { cwd: module.directory, wholeEnv: goEnv }).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UnavailableBinary(
      `${name} ${version} is not on PATH and must be built, which needs Go (${reason}); see test/harness/binaries.ts`,
      { cause: error },
    );
  });
  if (result.code === 0) return;
  throw new UnavailableBinary(`${name} ${version} cannot be built in ${module.directory}: ${result.stderr}`);
}

/** Kubernetes and Helm read their version from variables that their release builds set. */
function linkerVersions(name: BinaryName, version: string): string[] {
  if (name === "helm") return [`-X helm.sh/helm/v3/internal/version.version=${version}`];
  if (!packageOf(name).startsWith("k8s.io/kubernetes/")) return [];
  const [major, minor] = version.slice(1).split(".");
  const set = (variable: string, value: string | undefined): string =>
    `-X k8s.io/component-base/version.${variable}=${value}`;
  return [set("gitVersion", version), set("gitMajor", major), set("gitMinor", minor)];
}
