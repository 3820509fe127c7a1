import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { Etcd3 } from "etcd3";
import { binary } from "../test/harness/binaries.ts";
import { type EtcdCluster, startEtcd } from "../test/harness/etcd-cluster.ts";
import { removeAtExit } from "../test/harness/exit-cleanup.ts";
import { runOrThrow, tempDir } from "../test/harness/process.ts";
import { exists } from "./exists.ts";
import { log } from "./report.ts";
import { createRandom, kubernetesPair, pairBytes } from "./values.ts";

export interface FilledEtcd extends AsyncDisposable {
  readonly cluster: EtcdCluster;
  readonly endpoint: string;
  readonly pid: number;
  /** Bytes of the database file, from etcd's status. */
  readonly dbSize: number;
}

/** Part of the cached file's name: change it if the pairs change. */
const fillVersion = 1;
const pairsPerTxn = 100;

export function benchCache(): string {
  return join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "etcd-backup-operator", "bench");
}

/**
 * Starts one 3.6 member that syncs its writes, with a database of about `size` bytes. The database is filled once and
 * cached as a snapshot.
 */
export async function startFilledEtcd(size: number): Promise<FilledEtcd> {
  await using stack = new AsyncDisposableStack();
  const snapshot = await filledSnapshot(size);
  const directory = stack.use(await tempDir("bench-etcd"));
  const dataDir = join(directory.path, "data");
  log("restoring the filled database");
  const restore = ["snapshot", "restore", snapshot, "--data-dir", dataDir, "--name", "m0"];
  await runOrThrow(await binary("etcdutl"), [...restore, "--initial-cluster", "m0=http://localhost:2380"]);
  const extraArgs = [`--data-dir=${dataDir}`, quota(size)];
  const cluster = stack.use(await startEtcd({ minor: "3.6", unsafeNoFsync: false, extraArgs }));
  const [member] = cluster.members;
  if (member === undefined) throw new Error("the cluster has no member");
  const dbSize = await dbSizeOf(cluster);
  const started = stack.move();
  return {
    cluster,
    endpoint: member.endpoint,
    pid: member.process.pid,
    dbSize,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

async function filledSnapshot(size: number): Promise<string> {
  const cache = benchCache();
  const path = join(cache, `filled-v${fillVersion}-${size}.db`);
  if (await exists(path)) return path;
  await mkdir(cache, { recursive: true });
  const unfinished = await mkdtemp(join(cache, "filling-"));
  using removal = new DisposableStack();
  removal.use(removeAtExit(unfinished));
  try {
    await using cluster = await startEtcd({ minor: "3.6", extraArgs: [quota(size), "--snapshot-count=100"] });
    await fill(cluster, Math.ceil(size / pairBytes));
    const saved = join(unfinished, "filled.db");
    await cluster.etcdctl(["snapshot", "save", saved]);
    await rename(saved, path);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return path;
}

/** Writes the pairs. Every tenth pair is a second revision of an earlier key. */
async function fill(cluster: EtcdCluster, pairs: number): Promise<void> {
  const random = createRandom(1);
  const client = new Etcd3({ hosts: cluster.endpoints });
  const keys = Math.ceil(pairs * 0.9);
  try {
    for (let done = 0; done < pairs; done += pairsPerTxn) {
      if (done % (50 * pairsPerTxn) === 0) log(`filling etcd (once): ${Math.round((100 * done) / pairs)} %`);
      const count = Math.min(pairsPerTxn, pairs - done);
      const success = Array.from({ length: count }, (_, i) => ({
        request_put: kubernetesPair((done + i) % keys, random),
      }));
      await client.kv.txn({ compare: [], success, failure: [] });
    }
  } finally {
    client.close();
  }
}

function quota(size: number): string {
  return `--quota-backend-bytes=${Math.max(8 * 1024 ** 3, 2 * size)}`;
}

async function dbSizeOf(cluster: EtcdCluster): Promise<number> {
  const status = await cluster.etcdctl(["endpoint", "status", "-w", "json"]);
  return Number(/"dbSize":(\d+)/.exec(status)?.[1]);
}
