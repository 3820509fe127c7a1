import { join } from "node:path";
import { binary } from "./binaries.ts";
import { run, tempDir } from "./process.ts";

/** The project's chart. */
export const chartPath = join(import.meta.dirname, "..", "..", "charts", "etcd-backup-operator");
/** The Kubernetes version that `helm template` assumes, independent of the Helm build. */
const kubeVersion = "1.34.0";

export interface HelmRan {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs Helm without the user's repositories, plugins, cache and kubeconfig. */
export async function helm(args: string[]): Promise<HelmRan> {
  await using home = await tempDir("helm");
  const env = {
    HELM_CACHE_HOME: join(home.path, "cache"),
    HELM_CONFIG_HOME: join(home.path, "config"),
    HELM_DATA_HOME: join(home.path, "data"),
    HELM_PLUGINS: join(home.path, "plugins"),
    KUBECACHEDIR: join(home.path, "kube"),
  };
  return run(await binary("helm"), args, { env });
}

/** As `helm`, but throws on a non-zero exit code. Returns standard output. */
export async function helmOrThrow(args: string[]): Promise<string> {
  const { code, stdout, stderr } = await helm(args);
  if (code === 0) return stdout;
  throw new Error(`helm ${args.join(" ")}: exit code ${code}\n${stderr}${stdout}`);
}

/** `helm template` of the chart. Throws with Helm's message if Helm refuses the values. */
export async function helmTemplate(
  release: { name: string; namespace: string },
  values: object = {},
): Promise<string> {
  // --set-json of each top-level value has the effect of a values file.
  const sets = Object.entries(values).flatMap(([key, value]) => [
    "--set-json",
    `${key}=${JSON.stringify(value)}`,
  ]);
  const { name, namespace } = release;
  const args = ["template", name, chartPath, "--namespace", namespace, "--kube-version", kubeVersion];
  return helmOrThrow([...args, ...sets]);
}

export async function helmLint(args: string[] = []): Promise<HelmRan> {
  return helm(["lint", chartPath, "--strict", "--kube-version", kubeVersion, ...args]);
}
