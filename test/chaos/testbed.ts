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
import { copyName } from "./copy-fault.ts";
import { flapsBetween } from "./flaps.ts";
import { Leaders, type Sent } from "./leaders.ts";
import { type MovingStore, isMovedAtRest } from "./place-fault.ts";
import type { QuorumLoss } from "./quorum-fault.ts";
import { type Schedules, noteRun, startSchedules } from "./schedules.ts";
import { type SilentServer, startSilentServer } from "./tenant-fault.ts";
import { type Diary, type Replica, startReplica } from "./replica.ts";

type Artifact = NonNullable<EtcdBackup["status"]["artifact"]>;

export interface Testbed extends AsyncDisposable {
  readonly bench: Bench;
  readonly replicas: readonly [Replica, Replica];
  /** The name of the bucket and of the EtcdBackupStore. */
  readonly bucket: string;
  readonly audit: AuditLog;
  readonly leaders: Leaders;
  readonly diary: Diary;
  /** Puts of manifests and removals of objects, when the proxy received them. */
  readonly stored: Sent[];
  /** The fault of requests to the store; undefined for none. */
  storeFault: S3FaultProxy["fault"] | undefined;
  /** Changes of EtcdBackups that must never happen, since the last check. */
  readonly flaps: string[];
  /** The EtcdBackups of the main store, without those that import what is stored there. */
  backups(): Promise<EtcdBackup[]>;
  /** Those of all stores and tenants. */
  allBackups(): Promise<EtcdBackup[]>;
  /** What was stored of each EtcdBackup, as its status said, by its UID. */
  readonly artifacts: ReadonlyMap<string, Artifact>;
  /** Whether the EtcdBackup with this UID has ever succeeded. */
  hasSucceeded(uid: string | undefined): boolean;
  readonly schedules: Schedules;
  /** A server that never answers. */
  readonly silent: SilentServer;
  /** Puts of JSON objects and removals of objects by operators of copied clusters. */
  readonly copied: Sent[];
  readonly copyLogs: string[];
  /** Run IDs of backups that were stored by a clock that is ahead. */
  readonly storedAhead: string[];
  readonly quorumLosses: QuorumLoss[];
  /** Stores that were made again elsewhere in this round. */
  readonly moving: MovingStore[];
  /** What ends a fault that lasts until all backups are at rest. */
  readonly afterRest: (() => Promise<void>)[];
  /** What removes the objects that a fault has left for the invariants. */
  readonly afterChecks: (() => Promise<void>)[];
}

export async function startTestbed(bucket: string): Promise<Testbed> {
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
  const silent = stack.use(await startSilentServer());
  const artifacts = new Map<string, Artifact>();
  const hasSucceeded = (uid: string | undefined) => artifacts.has(uid ?? "");
  const schedules = await startSchedules(bench, hasSucceeded);
  const { flaps } = watchBackups(client, { artifacts, schedules }, { signal: stop.signal, stack });
  const allBackups = () =>
    retry(
      "the API server lists EtcdBackups",
      async () => {
        const kind = customResource(etcdBackupDefinition);
        return (await client.list(kind, { signal: AbortSignal.timeout(10_000) })).items;
      },
      30,
    );
  const owned = stack.move();
  const testbed: Testbed = {
    bench,
    replicas,
    bucket,
    audit,
    leaders: new Leaders(),
    diary,
    stored: [],
    storeFault: undefined,
    flaps,
    backups: async () =>
      (await allBackups()).filter(({ spec }) => spec.storeRef.name === bucket && spec.imported === undefined),
    allBackups,
    artifacts,
    hasSucceeded,
    schedules,
    silent,
    copied: [],
    copyLogs: [],
    storedAhead: [],
    quorumLosses: [],
    moving: [],
    afterRest: [],
    afterChecks: [],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  bench.network.fault = async (request) => {
    recordAct(request, testbed);
    const fault = await testbed.storeFault?.(request);
    const isForwarded = fault?.do !== "answer" && fault?.do !== "reset";
    return (isForwarded ? await schedules.history.beforeForwarding(request) : undefined) ?? fault;
  };
  return testbed;
}

/** The operator process that has sent a request: the application name in the User-Agent of the SDK. */
export function writerOf(headers: S3Request["headers"]): string | undefined {
  return / app\/(\S+)/.exec(headers["user-agent"] ?? "")?.[1];
}

function recordAct({ operation, url, headers }: S3Request, { stored, copied }: Testbed): void {
  const writer = writerOf(headers);
  if (writer === undefined) return;
  const path = new URL(url, "http://store").pathname;
  const isAct = (operation === "Put" && path.endsWith(".json")) || operation === "Delete";
  // Probes of the store are no acts of a leader.
  if (isAct && !path.includes("/.probe-"))
    (writer === copyName ? copied : stored).push({
      at: Date.now(),
      writer,
      request: `${operation} of ${path}`,
    });
}

function watchBackups(
  client: KubeClient,
  { artifacts, schedules }: { artifacts: Map<string, Artifact>; schedules: Schedules },
  { signal, stack }: { signal: AbortSignal; stack: AsyncDisposableStack },
): { flaps: string[] } {
  const last = new Map<string, EtcdBackup>();
  const flaps: string[] = [];
  const kind = customResource(etcdBackupDefinition);
  const cache: Cache<EtcdBackup> = stack.use(startCache(client, kind, { signal }));
  cache.onChange((key, backup) => {
    const before = last.get(key);
    if (backup === undefined) last.delete(key);
    else last.set(key, backup);
    if (backup !== undefined) noteRun(schedules, backup.metadata);
    if (backup?.status.artifact !== undefined) artifacts.set(backup.metadata.uid, backup.status.artifact);
    if (backup === undefined || before?.metadata.uid !== backup.metadata.uid) return;
    flaps.push(...flapsBetween(before, backup).map((text) => `${key}: ${text}`));
  });
  return { flaps };
}

/** Waits until every EtcdBackup has finished or is deleted, or waits for a store that was made again elsewhere. */
export async function waitForRest(testbed: Testbed, seconds: number): Promise<void> {
  let open: string[] = [];
  const own = [testbed.bucket, testbed.schedules.bucket];
  const isAtRest = async () => {
    const moving = new Set(testbed.moving.map(({ name }) => name));
    const isOpen = (backup: EtcdBackup) =>
      moving.has(backup.spec.storeRef.name)
        ? !isMovedAtRest(backup)
        : own.includes(backup.spec.storeRef.name) && !isDone(backup);
    // One that imports a backup waits for long when the backup was removed meanwhile.
    open = (await testbed.allBackups())
      .filter((backup) => backup.spec.imported === undefined && isOpen(backup))
      .map(({ metadata, status }) => `${JSON.stringify(metadata)} ${JSON.stringify(status)}`);
    return open.length === 0;
  };
  await eventually("every EtcdBackup has finished or is deleted", isAtRest, seconds).catch(
    (error: unknown) => {
      throw new Error(`${String(error)}; open:\n${open.join("\n")}`);
    },
  );
}

/** Finished, with the finalizer that its deletionPolicy needs. */
function isDone({ metadata, spec, status }: EtcdBackup): boolean {
  const finished = status.conditions?.find(({ type }) => type === "Finished")?.status === "True";
  const hasFinalizer = metadata.finalizers?.includes(finalizer) === true;
  const needsFinalizer = spec.deletionPolicy === "Delete" && (hasFinalizer || status.artifact !== undefined);
  return metadata.deletionTimestamp === undefined && finished && hasFinalizer === needsFinalizer;
}
