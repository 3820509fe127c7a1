import { setTimeout as delay } from "node:timers/promises";
import { type KubeClient, connect } from "../../src/kube/client.ts";
import { type Cache, startCache } from "../../src/kube/cache.ts";
import { customResource } from "../../src/kube/objects.ts";
import { type Lease, leases } from "../../src/kube/lease.ts";
import { type EtcdBackup, etcdBackupDefinition } from "../../src/api/etcd-backup.ts";
import {
  type Bench,
  type Operator,
  eventually,
  startBench,
  startOperator,
} from "../integration/operator.fixture.ts";
import { type BreakingProxy, startBreakingProxy } from "../integration/kube-breaking-proxy.ts";

/** Seconds. Short, so that a round sees several terms; long enough for a machine that is busy with ten servers. */
const leaseSeconds = 6;

/** One of the two operators, with its own way to the API server. */
export interface Replica {
  readonly name: string;
  readonly proxy: BreakingProxy;
  operator: Operator;
  /** Of a process that was killed or stopped for good: a new one. */
  start(): Promise<void>;
}

/** A write that an operator made, as it passed on its way to the API server. */
export interface Act {
  at: number;
  replica: string;
  request: string;
}

export interface World extends AsyncDisposable {
  readonly bench: Bench;
  readonly replicas: readonly [Replica, Replica];
  readonly bucket: string;
  /** Status writes and finalizers of both operators, in order. */
  readonly acts: Act[];
  /** Who held the Lease from when on, by replica; "" for nobody. */
  readonly holders: { at: number; replica: string }[];
  /** What broke a promise while nobody looked: conditions that went back, attempts that shrank. */
  readonly flaps: string[];
  backups(): Promise<EtcdBackup[]>;
}

export async function startWorld(bucket: string): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const bench = stack.use(await startBench({ etcd: { members: 3 } }));
  const client = stack.use(await connect({ kubeconfig: bench.api.kubeconfigPath, env: {} }));
  await bench.addStore(bucket);
  const acts: Act[] = [];
  const replicas = [
    await startReplica(bench, "replica-a", acts, stack),
    await startReplica(bench, "replica-b", acts, stack),
  ] as const;
  await bench.kube.wait(`etcdbackupstore/${bucket}`, "condition=Ready");
  const stop = new AbortController();
  stack.defer(() => stop.abort());
  const holders = watchLease(client, stop.signal, stack);
  const { flaps, backups } = watchBackups(client, stop.signal, stack);
  const owned = stack.move();
  return {
    bench,
    replicas,
    bucket,
    acts,
    holders,
    flaps,
    backups,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function startReplica(
  bench: Bench,
  name: string,
  acts: Act[],
  stack: AsyncDisposableStack,
): Promise<Replica> {
  const proxy = stack.use(await startBreakingProxy(bench.api.kubeconfigPath));
  proxy.refuse = (request) => {
    if (/^PATCH .*\/etcdbackups\//.test(request))
      acts.push({ at: performance.now(), replica: name, request });
    return undefined;
  };
  const launch = () =>
    startOperator(bench.api, {
      kubeconfig: proxy.kubeconfigPath,
      args: ["--lease-duration", String(leaseSeconds)],
      env: { POD_NAME: name },
      ready: false,
    });
  const replica: Replica = {
    name,
    proxy,
    operator: await launch(),
    async start() {
      replica.operator = await launch();
    },
  };
  stack.defer(() => replica.operator[Symbol.asyncDispose]());
  return replica;
}

function watchLease(client: KubeClient, signal: AbortSignal, stack: AsyncDisposableStack): World["holders"] {
  const holders: World["holders"] = [];
  const cache: Cache<Lease> = stack.use(startCache(client, leases, { namespace: "default", signal }));
  cache.onChange((_key, lease) => {
    const replica = (lease?.spec?.holderIdentity ?? "").replace(/_.*/, "");
    if (holders.at(-1)?.replica !== replica) holders.push({ at: performance.now(), replica });
  });
  return holders;
}

function watchBackups(
  client: KubeClient,
  signal: AbortSignal,
  stack: AsyncDisposableStack,
): Pick<World, "flaps" | "backups"> {
  const kind = customResource(etcdBackupDefinition);
  const last = new Map<string, EtcdBackup>();
  const flaps: string[] = [];
  const cache: Cache<EtcdBackup> = stack.use(startCache(client, kind, { signal }));
  cache.onChange((key, backup) => {
    if (backup === undefined) {
      last.delete(key);
      return;
    }
    const before = last.get(key);
    last.set(key, backup);
    if (before?.metadata.uid === backup.metadata.uid) flaps.push(...wentBack(key, before, backup));
  });
  const backups = async () => {
    // Not from the cache: what counts is what the server holds.
    for (let attempt = 0; ; attempt += 1) {
      try {
        return (await client.list(kind, { signal })).items;
      } catch (error) {
        if (attempt >= 20) throw error;
        await delay(500);
      }
    }
  };
  return { flaps, backups };
}

function wentBack(key: string, before: EtcdBackup, after: EtcdBackup): string[] {
  const found: string[] = [];
  for (const old of before.status.conditions ?? []) {
    const now = after.status.conditions?.find(({ type }) => type === old.type);
    if (old.type === "Finished" && old.status === "True" && now?.status !== "True")
      found.push(`${key}: Finished went back to ${now?.status}`);
    if (now !== undefined && now.status === old.status && now.lastTransitionTime !== old.lastTransitionTime)
      found.push(`${key}: ${old.type} stayed ${now.status} and changed its lastTransitionTime`);
  }
  const [was, is] = [before.status.attempts ?? 0, after.status.attempts ?? 0];
  // An orderly stop hands one attempt back.
  if (is < was - 1) found.push(`${key}: attempts went from ${was} to ${is}`);
  return found;
}

/** Everything that was created has ended or is gone. */
export async function atRest(world: World, seconds: number): Promise<void> {
  let open: string[] = [];
  const look = async () => {
    open = (await world.backups())
      .filter(
        ({ metadata, status }) =>
          metadata.deletionTimestamp !== undefined ||
          status.conditions?.find(({ type }) => type === "Finished")?.status !== "True",
      )
      .map(({ metadata, status }) => `${metadata.name} ${JSON.stringify(status)}`);
    return open.length === 0;
  };
  await eventually("every EtcdBackup has ended or is gone", look, seconds).catch((error: unknown) => {
    throw new Error(`${String(error)}; open: ${open.join("\n")}`);
  });
}
