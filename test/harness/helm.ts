import { join } from "node:path";
import { binary } from "./binaries.ts";
import { run, tempDir } from "./process.ts";

/** The project's chart. */
export const chartPath = join(import.meta.dirname, "..", "..", "charts", "etcd-backup-operator");
/** What `helm template` renders for, whatever the Helm at hand was built with. */
const kubeVersion = "1.34.0";

export interface HelmRan {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs Helm with nothing of the person's: no repositories, plugins, cache or kubeconfig. */
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

/** As `helm`, but a non-zero exit code is an error. Gives standard output. */
export async function helmOrThrow(args: string[]): Promise<string> {
  const { code, stdout, stderr } = await helm(args);
  if (code === 0) return stdout;
  throw new Error(`helm ${args.join(" ")}: exit code ${code}\n${stderr}${stdout}`);
}

/** `helm template` of the chart; throws with Helm's words when it refuses. */
export async function helmTemplate(
  release: { name: string; namespace: string },
  values: object = {},
): Promise<string> {
  // --set-json of whole top-level values: what a values file would do, without a file.
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
