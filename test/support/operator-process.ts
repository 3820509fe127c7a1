import type { ApiServer } from "../harness/api-server.ts";
import { etcdBackupPath } from "../harness/etcd-backup.ts";
import { type RunningProcess, freePorts, startProcess } from "../harness/process.ts";
import { probe, untilReady } from "../harness/ready.ts";

/** A running `etcd-backup operator`. */
export interface Operator extends AsyncDisposable {
  readonly process: RunningProcess;
  /** GET of /healthz, /readyz or /metrics; undefined when there is no answer. */
  get(path: string): Promise<{ status: number; body: string } | undefined>;
}

export interface OperatorOptions {
  args?: string[];
  /** The administrator's when not given. */
  kubeconfig?: string;
  env?: Record<string, string>;
  /** Resolve when the operator is ready (true), or as soon as it serves /healthz (false). true when not given. */
  ready?: boolean;
}

export async function startOperator(api: ApiServer, options: OperatorOptions = {}): Promise<Operator> {
  const [port = 0] = await freePorts(1);
  const { args = [], kubeconfig = api.kubeconfigPath, env } = options;
  // The tests' servers listen on loopback.
  const loopback = ["--loopback-namespaces", "*"];
  const flags = [...loopback, "--kubeconfig", kubeconfig, "--listen", `127.0.0.1:${port}`, ...args];
  const process = startProcess(etcdBackupPath, ["--log-level", "debug", "operator", ...flags], {
    name: "etcd-backup operator",
    ...(env === undefined ? {} : { env }),
  });
  const get = (path: string) => probe({ url: `http://127.0.0.1:${port}${path}` });
  const path = options.ready === false ? "/healthz" : "/readyz";
  try {
    await untilReady("the operator", process, async () => (await get(path))?.status === 200);
  } catch (error) {
    await process.kill();
    throw error;
  }
  return { process, get, [Symbol.asyncDispose]: () => process.stop() };
}
