import { type EtcdBackup, etcdBackupDefinition } from "../../src/api/v1alpha1/etcd-backup.ts";
import { finalizer } from "../../src/core/backup/decide.ts";
import { type Cache, startCache } from "../../src/kube/watch/cache.ts";
import { type KubeClient, connect } from "../../src/kube/client.ts";
import { customResource } from "../../src/kube/objects.ts";
import { tempDir } from "../harness/temp-dir.ts";
import { eventually, retry } from "../support/eventually.ts";
import { type Bench, startBench } from "../support/bench.ts";
import type { S3FaultProxy, S3Request } from "../support/s3-fault-proxy.ts";
import { type AuditLog, auditLog } from "./audit.ts";
import { wentBack } from "./flaps.ts";
import { Leaders, type Sent } from "./leaders.ts";
import { type Diary, type Replica, startReplica } from "./replica.ts";

export interface World extends AsyncDisposable {
  readonly bench: Bench;
  readonly replicas: readonly [Replica, Replica];
  /** Also the name of the EtcdBackupStore. */
  readonly bucket: string;
  readonly audit: AuditLog;
  readonly leaders: Leaders;
  readonly diary: Diary;
  /** Manifests that were put and objects that were removed, as they passed on their way to the store. */
  readonly stored: Sent[];
  /** What the store does to requests; undefined: nothing. */
  storeFault: S3FaultProxy["fault"] | undefined;
  /** What broke a promise while nobody looked: conditions that went back, attempts that shrank. */
  readonly flaps: string[];
  /** What the API server holds now. */
  backups(): Promise<EtcdBackup[]>;
}

export async function startWorld(bucket: string): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const audit = await auditLog(stack.use(await tempDir("chaos-audit")).path);
  const bench = stack.use(await startBench({ etcd: { members: 3 }, api: { extraArgs: audit.args } }));
  const client = stack.use(await connect({ kubeconfig: bench.api.kubeconfigPath, env: {} }));
  await bench.addStore(bucket);
  const diary: Diary = { sent: [], stops: [] };
  const replicas = [
    stack.use(await startReplica(bench.api, "replica-a", diary)),
    stack.use(await startReplica(bench.api, "replica-b", diary)),
  ] as const;
  await bench.kube.wait(`etcdbackupstore/${bucket}`, "condition=Ready", { seconds: 60 });
  const stop = new AbortController();
  stack.defer(() => stop.abort());
  const flaps = watchBackups(client, stop.signal, stack);
  const owned = stack.move();
  const world: World = {
    bench,
    replicas,
    bucket,
    audit,
    leaders: new Leaders(),
    diary,
    stored: [],
    storeFault: undefined,
    flaps,
    backups: () =>
      retry(
        "the API server lists EtcdBackups",
        async () => {
          const kind = customResource(etcdBackupDefinition);
          return (await client.list(kind, { signal: AbortSignal.timeout(10_000) })).items;
        },
        30,
      ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  bench.network.fault = (request) => {
    note(request, world.stored);
    return world.storeFault?.(request);
  };
  return world;
}

/** The application that an operator gives itself in the SDK's User-Agent says which process it is. */
export function writerOf(headers: S3Request["headers"]): string | undefined {
  return / app\/(\S+)/.exec(headers["user-agent"] ?? "")?.[1];
}

function note({ operation, url, headers }: S3Request, stored: Sent[]): void {
  const writer = writerOf(headers);
  if (writer === undefined) return;
  const path = new URL(url, "http://store").pathname;
  const isAct = (operation === "Put" && path.endsWith(".json")) || operation === "Delete";
  // Probes come and go with the watch of the store.
  if (isAct && !path.includes("/.probe-"))
    stored.push({ at: Date.now(), writer, request: `${operation} of ${path}` });
}

function watchBackups(client: KubeClient, signal: AbortSignal, stack: AsyncDisposableStack): string[] {
  const last = new Map<string, EtcdBackup>();
  const flaps: string[] = [];
  const kind = customResource(etcdBackupDefinition);
  const cache: Cache<EtcdBackup> = stack.use(startCache(client, kind, { signal }));
  cache.onChange((key, backup) => {
    const before = last.get(key);
    if (backup === undefined) last.delete(key);
    else last.set(key, backup);
    if (backup === undefined || before?.metadata.uid !== backup.metadata.uid) return;
    flaps.push(...wentBack(before, backup).map((text) => `${key}: ${text}`));
  });
  return flaps;
}

/** Everything that was created has ended or is gone. */
export async function atRest(world: World, seconds: number): Promise<void> {
  let open: string[] = [];
  const look = async () => {
    open = (await world.backups())
      .filter((backup) => !rests(backup))
      .map(({ metadata, status }) => `${JSON.stringify(metadata)} ${JSON.stringify(status)}`);
    return open.length === 0;
  };
  await eventually("every EtcdBackup has ended or is gone", look, seconds).catch((error: unknown) => {
    throw new Error(`${String(error)}; open:\n${open.join("\n")}`);
  });
}

function rests({ metadata, spec, status }: EtcdBackup): boolean {
  const finished = status.conditions?.find(({ type }) => type === "Finished")?.status === "True";
  const held = metadata.finalizers?.includes(finalizer) === true;
  const holdable = spec.deletionPolicy === "Delete" && (held || status.artifact !== undefined);
  return metadata.deletionTimestamp === undefined && finished && held === holdable;
}
