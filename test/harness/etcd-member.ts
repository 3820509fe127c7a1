import { join } from "node:path";
import type { ClientTls } from "./etcd-cluster.ts";
import { type RunningProcess, startProcess } from "./process.ts";
import { probe, untilReady } from "./ready.ts";

/** The settings that all members of a cluster share. */
export interface MemberContext {
  executable: string;
  directory: string;
  extraArgs: string[];
  tls?: { serverCertFile: string; serverKeyFile: string; client: ClientTls };
}

export interface EtcdMember extends AsyncDisposable {
  readonly name: string;
  /** Client URL. */
  readonly endpoint: string;
  readonly peerUrl: string;
  readonly dataDir: string;
  /** The process of the latest start. */
  readonly process: RunningProcess;
  /** Its log over all starts; the last 256 KiB of each. */
  logs(): string;
  /** SIGSTOP: the member lags, and its connections stay open. */
  pause(): void;
  resume(): void;
  /** SIGKILL; resolves when the process has ended. */
  kill(): Promise<void>;
  /** Starts it again on the same ports and directory. Use `wait: false` without a quorum: it cannot become healthy then. */
  start(options?: { wait?: boolean }): Promise<void>;
  /** The first start, with the bootstrap flags. etcd ignores these once its data directory is filled. */
  join(initialCluster: string, state: "new" | "existing"): Promise<void>;
}

export interface MemberPlace {
  name: string;
  clientPort: number;
  peerPort: number;
  /** Default: a directory in the context's directory. */
  dataDir?: string;
  /** Set if the WAL is not in the data directory. */
  walDir?: string;
}

export function etcdMember(context: MemberContext, place: MemberPlace): EtcdMember {
  const { name, clientPort, peerPort, walDir } = place;
  const scheme = context.tls === undefined ? "http" : "https";
  const endpoint = `${scheme}://127.0.0.1:${clientPort}`;
  const peerUrl = `${scheme}://127.0.0.1:${peerPort}`;
  const dataDir = place.dataDir ?? join(context.directory, name);
  const processes: RunningProcess[] = [];
  let bootstrap: string[] = [];

  const current = (): RunningProcess => {
    const latest = processes.at(-1);
    if (latest === undefined) throw new Error(`etcd member ${name} was not started`);
    return latest;
  };
  const healthy = async (): Promise<boolean> => {
    const { client } = context.tls ?? {};
    const answer = await probe({ url: `${endpoint}/health`, ...client });
    return answer?.status === 200 && answer.body.includes('"true"');
  };
  const start = async ({ wait = true }: { wait?: boolean } = {}): Promise<void> => {
    const args = [
      `--name=${name}`,
      `--data-dir=${dataDir}`,
      ...(walDir === undefined ? [] : [`--wal-dir=${walDir}`]),
      `--listen-client-urls=${endpoint}`,
      `--advertise-client-urls=${endpoint}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      ...bootstrap,
      ...tlsArgs(context),
      ...context.extraArgs,
    ];
    const process = startProcess(context.executable, args, { name: `etcd ${name}` });
    processes.push(process);
    if (wait) await untilReady(`etcd ${name}`, process, healthy);
  };
  const kill = async (): Promise<void> => processes.at(-1)?.kill();

  return {
    name,
    endpoint,
    peerUrl,
    dataDir,
    get process() {
      return current();
    },
    logs: () => processes.map((process) => process.output()).join(""),
    pause: () => current().pause(),
    resume: () => current().resume(),
    kill,
    start,
    async join(initialCluster, state) {
      bootstrap = [`--initial-cluster=${initialCluster}`, `--initial-cluster-state=${state}`];
      await start();
    },
    [Symbol.asyncDispose]: kill,
  };
}

function tlsArgs({ tls }: MemberContext): string[] {
  if (tls === undefined) return [];
  return [
    "--client-cert-auth",
    `--trusted-ca-file=${tls.client.caFile}`,
    `--cert-file=${tls.serverCertFile}`,
    `--key-file=${tls.serverKeyFile}`,
    "--peer-client-cert-auth",
    `--peer-trusted-ca-file=${tls.client.caFile}`,
    `--peer-cert-file=${tls.serverCertFile}`,
    `--peer-key-file=${tls.serverKeyFile}`,
  ];
}
