import { access } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { type Cluster, KubeConfig } from "@kubernetes/client-node";
import { OperatorError } from "../core/errors.ts";
import { firstLine } from "./errors.ts";

export interface ConfigSource {
  /** A kubeconfig file; it comes before every other source. */
  kubeconfig?: string;
  /** A context of the kubeconfig, instead of its current one. */
  context?: string;
  env?: Readonly<Record<string, string | undefined>>;
  /** The directory that holds `var/run/secrets/kubernetes.io/serviceaccount` (the root). */
  root?: string;
  home?: string;
}

const tokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/**
 * The cluster and the credentials from the given file, else from KUBECONFIG, else from the service account of the pod,
 * else from `~/.kube/config`. Throws InvalidConfiguration when there is none, or it cannot be read.
 */
export async function loadKubeConfig(
  source: ConfigSource,
): Promise<{ config: KubeConfig; cluster: Cluster }> {
  const { env = process.env, root = "", home = homedir() } = source;
  const config = new KubeConfig();
  const homeConfig = join(home, ".kube", "config");
  let from = "the kubeconfig";
  try {
    if (source.kubeconfig !== undefined) {
      from = `the kubeconfig ${source.kubeconfig}`;
      config.loadFromFile(source.kubeconfig);
    } else if (env["KUBECONFIG"] !== undefined && env["KUBECONFIG"] !== "") {
      from = `KUBECONFIG (${env["KUBECONFIG"]})`;
      loadAll(config, env["KUBECONFIG"].split(delimiter).filter(Boolean));
    } else if (env["KUBERNETES_SERVICE_HOST"] !== undefined && (await exists(root + tokenFile))) {
      from = "the service account of the pod";
      config.loadFromCluster(root);
    } else if (await exists(homeConfig)) {
      from = `the kubeconfig ${homeConfig}`;
      config.loadFromFile(homeConfig);
    } else {
      throw new OperatorError(
        "InvalidConfiguration",
        "there is no kubeconfig, and this process does not run in a pod",
        {
          hint: "give --kubeconfig or set KUBECONFIG",
        },
      );
    }
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    // Without a cause: a parser's error may quote the file, and with it a token.
    throw new OperatorError("InvalidConfiguration", `${from} cannot be read: ${firstLine(error)}`, {
      hint: "check that the file exists and that this user may read it",
    });
  }
  return { config, cluster: chooseCluster(config, source.context, from) };
}

/** As kubectl does it: the current context is that of the first file that has one. */
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
      hint: known.length === 0 ? "add a context to the kubeconfig" : `choose one of ${known.join(", ")}`,
    });
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new OperatorError(
      "InvalidConfiguration",
      `${from} does not define the cluster of context ${name}`,
      {
        hint: "add the cluster, or choose another context",
      },
    );
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
