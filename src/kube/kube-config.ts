import { access } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { type Cluster, KubeConfig } from "@kubernetes/client-node";
import { OperatorError } from "../core/errors.ts";

export interface ConfigSource {
  /** A kubeconfig file; it wins over everything else. */
  kubeconfig?: string;
  /** A context of the kubeconfig, instead of its current one. */
  context?: string;
  env?: Readonly<Record<string, string | undefined>>;
  /** Where `var/run/secrets/kubernetes.io/serviceaccount` is looked for. */
  root?: string;
  home?: string;
}

const tokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/**
 * Finds the cluster and the credentials: the given file, then KUBECONFIG, then the service account of the pod,
 * then `~/.kube/config`. Throws InvalidConfiguration where there is none, or it cannot be read.
 */
export async function loadKubeConfig(
  source: ConfigSource,
): Promise<{ config: KubeConfig; cluster: Cluster }> {
  const { env = process.env, root = "", home = homedir() } = source;
  const config = new KubeConfig();
  const homeConfig = join(home, ".kube", "config");
  let from: string;
  try {
    if (source.kubeconfig !== undefined) {
      from = source.kubeconfig;
      config.loadFromFile(from);
    } else if (env["KUBECONFIG"] !== undefined && env["KUBECONFIG"] !== "") {
      from = `KUBECONFIG (${env["KUBECONFIG"]})`;
      loadAll(config, env["KUBECONFIG"].split(delimiter).filter(Boolean));
    } else if (env["KUBERNETES_SERVICE_HOST"] !== undefined && (await exists(root + tokenFile))) {
      from = "the service account of the pod";
      config.loadFromCluster(root);
    } else if (await exists(homeConfig)) {
      from = homeConfig;
      config.loadFromFile(from);
    } else {
      throw new OperatorError("InvalidConfiguration", "no kubeconfig was found, and this is not a pod", {
        hint: "give --kubeconfig or set KUBECONFIG",
      });
    }
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    // No cause: a parser's error may quote the file, and with it a token.
    throw new OperatorError("InvalidConfiguration", `the kubeconfig cannot be read: ${reason}`);
  }
  return { config, cluster: chooseCluster(config, source.context, from) };
}

/** The current context is that of the first file that has one, as for kubectl. */
function loadAll(config: KubeConfig, files: readonly string[]): void {
  for (const [index, file] of files.entries()) {
    const one = new KubeConfig();
    one.loadFromFile(file);
    config.mergeConfig(one, index > 0 && Boolean(config.getCurrentContext()));
  }
}

function chooseCluster(config: KubeConfig, context: string | undefined, from: string): Cluster {
  if (context !== undefined) config.setCurrentContext(context);
  const name = config.getCurrentContext();
  if (!name || config.getContextObject(name) === null) {
    const known = config.getContexts().map((c) => c.name);
    throw new OperatorError("InvalidConfiguration", `${from} has no context ${name || "set as current"}`, {
      hint: known.length === 0 ? "it names no context at all" : `choose one of ${known.join(", ")}`,
    });
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new OperatorError("InvalidConfiguration", `${from}: the cluster of context ${name} is not in it`);
  }
  return cluster;
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
