import { randomBytes } from "node:crypto";
import { ListObjectsV2Command, type S3Client } from "@aws-sdk/client-s3";
import type { EtcdBackup } from "../../src/api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStore } from "../../src/api/v1alpha1/etcd-backup-store.ts";
import { type ApiServer, type ApiServerOptions, startApiServer } from "../harness/api-server.ts";
import { etcdBackupPath } from "../harness/etcd-backup.ts";
import { type EtcdCluster, type EtcdOptions, startEtcd } from "../harness/etcd-cluster.ts";
import { type RunningProcess, freePorts, startProcess } from "../harness/process.ts";
import { probe, untilReady } from "../harness/ready.ts";
import { type S3Server, startS3 } from "../harness/s3-server.ts";
import { rawClient, unfinishedUploads } from "./s3-store.ts";
import { within } from "./eventually.ts";
import { type Fault, type FaultProxy, type Seen, startFaultProxy } from "./store-fault-proxy.ts";

const apiVersion = "etcdbackup.dev/v1alpha1";

/**
 * What the operator is allowed in a cluster: what the chart has to give it. `patch` on the resources themselves is
 * for finalizers, on `/status` for the status; no Secret is listed or watched. What a restore creates is never
 * changed or removed by the operator.
 */
export const operatorRules = [
  {
    apiGroups: ["etcdbackup.dev"],
    resources: ["etcdbackups", "etcdbackupstores", "etcdrestores"],
    verbs: ["get", "list", "watch"],
  },
  { apiGroups: ["etcdbackup.dev"], resources: ["etcdbackups"], verbs: ["patch"] },
  {
    apiGroups: ["etcdbackup.dev"],
    resources: ["etcdbackups/status", "etcdbackupstores/status", "etcdrestores/status"],
    verbs: ["patch"],
  },
  { apiGroups: [""], resources: ["secrets"], verbs: ["get"] },
  { apiGroups: [""], resources: ["pods"], verbs: ["list"] },
  { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list"] },
  { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["get", "create", "update"] },
  { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create", "patch"] },
  { apiGroups: [""], resources: ["persistentvolumeclaims", "services"], verbs: ["get", "create"] },
  { apiGroups: ["batch"], resources: ["jobs"], verbs: ["get", "create"] },
  { apiGroups: ["apps"], resources: ["statefulsets"], verbs: ["get", "create"] },
  { apiGroups: ["policy"], resources: ["poddisruptionbudgets"], verbs: ["get", "create"] },
];

export interface Operator extends AsyncDisposable {
  readonly process: RunningProcess;
  /** GET of /healthz, /readyz or /metrics; undefined when nobody answers. */
  get(path: string): Promise<{ status: number; body: string } | undefined>;
}

export interface OperatorOptions {
  args?: string[];
  /** The administrator's when not given. */
  kubeconfig?: string;
  env?: Record<string, string>;
  /** Resolve when it is ready (true), or as soon as it serves /healthz. */
  ready?: boolean;
}

export async function startOperator(api: ApiServer, options: OperatorOptions = {}): Promise<Operator> {
  const [port = 0] = await freePorts(1);
  const process = startProcess(
    etcdBackupPath,
    [
      "--log-level",
      "debug",
      "operator",
      "--kubeconfig",
      options.kubeconfig ?? api.kubeconfigPath,
      "--listen",
      `127.0.0.1:${port}`,
      ...(options.args ?? []),
    ],
    { name: "etcd-backup operator", ...(options.env === undefined ? {} : { env: options.env }) },
  );
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

export interface Kube {
  apply(...objects: object[]): Promise<void>;
  backup(name: string, namespace?: string): Promise<EtcdBackup>;
  store(name: string, namespace?: string): Promise<EtcdBackupStore>;
  /** As `kubectl wait --for=…`; `what` is `etcdbackup/name`. A failure shows the object. */
  wait(what: string, condition: string, options?: { namespace?: string; seconds?: number }): Promise<void>;
  /** Waits for the reason of a condition. */
  waitReason(
    what: string,
    type: string,
    reason: string,
    options?: { namespace?: string; seconds?: number },
  ): Promise<void>;
  /** Events about the object, in the order of their first time. */
  events(name: string, namespace?: string): Promise<{ type: string; reason: string; note: string }[]>;
}

export function kubeOf(api: ApiServer): Kube {
  const get = async <T>(what: string, namespace = "default"): Promise<T> =>
    JSON.parse(await api.kubectl(["get", what, "-n", namespace, "-o", "json"])) as T;
  const wait: Kube["wait"] = async (what, condition, { namespace = "default", seconds = 30 } = {}) => {
    const args = ["wait", what, "-n", namespace, `--for=${condition}`, `--timeout=${seconds}s`];
    await api.kubectl(args).catch(async (error: unknown) => {
      const seen = await api.kubectl(["get", what, "-n", namespace, "-o", "yaml"]).catch(String);
      throw new Error(`${what} never was ${condition}; it is\n${seen}`, { cause: error });
    });
  };
  return {
    async apply(...items) {
      await api.kubectl(["apply", "--server-side", "-f", "-"], {
        input: JSON.stringify({ apiVersion: "v1", kind: "List", items }),
      });
    },
    backup: (name, namespace) => get(`etcdbackup/${name}`, namespace),
    store: (name, namespace) => get(`etcdbackupstore/${name}`, namespace),
    wait,
    waitReason: (what, type, reason, options) =>
      wait(what, `jsonpath={.status.conditions[?(@.type=="${type}")].reason}=${reason}`, options),
    async events(name, namespace) {
      const list = await get<{
        items: {
          type: string;
          reason: string;
          note?: string;
          message?: string;
          eventTime?: string;
          regarding: { name: string };
        }[];
      }>("events.events.k8s.io", namespace);
      return list.items
        .filter(({ regarding }) => regarding.name === name)
        .toSorted((a, b) => String(a.eventTime).localeCompare(String(b.eventTime)))
        .map(({ type, reason, note = "" }) => ({ type, reason, note }));
    },
  };
}

export function conditionOf(object: EtcdBackup | EtcdBackupStore, type: string) {
  return object.status.conditions?.find((condition) => condition.type === type);
}

/** Every condition's status by type. */
export function statusesOf(object: EtcdBackup | EtcdBackupStore): Record<string, string> {
  return Object.fromEntries((object.status.conditions ?? []).map(({ type, status }) => [type, status]));
}

export function secret(name: string, stringData: Record<string, string>, namespace = "default") {
  return { apiVersion: "v1", kind: "Secret", metadata: { name, namespace }, stringData };
}

export interface Hold {
  /** Waits for the first of the requests, for a minute at most. */
  reached(): Promise<Seen>;
  /** Forwards what is held, or does this to it instead. */
  release(fault?: Fault): void;
}

/** An API server with the CRDs, an etcd to back up, an S3 server, and a network between operator and S3. */
export interface Bench extends AsyncDisposable {
  readonly api: ApiServer;
  readonly kube: Kube;
  readonly etcd: EtcdCluster;
  readonly s3: S3Server;
  readonly network: FaultProxy;
  readonly raw: S3Client;
  /** A bucket and an EtcdBackupStore of this name. */
  addStore(name: string, spec?: object, namespace?: string): Promise<void>;
  storeObject(name: string, spec?: object, namespace?: string): object;
  /** An EtcdBackup of the cluster; `etcd` and the rest of `spec` replace what they name. */
  backupObject(
    name: string,
    store: string,
    spec?: { etcd?: object; [field: string]: unknown },
    namespace?: string,
  ): object;
  /** Keys in a bucket, but for those that a probe of the store puts and removes. */
  objects(bucket: string): Promise<string[]>;
  unfinished(bucket: string): Promise<string[]>;
  /** Backups of a bucket, as names of their manifests. */
  manifests(bucket: string): Promise<string[]>;
  /** Runs `then` when such a request comes, and holds it until `release`. */
  hold(which: (request: Seen) => boolean, then?: () => void): Hold;
}

export interface BenchOptions {
  etcd?: EtcdOptions;
  api?: ApiServerOptions;
}

export async function startBench(options: BenchOptions = {}): Promise<Bench> {
  await using stack = new AsyncDisposableStack();
  const [api, etcd, s3] = await Promise.all([
    startApiServer(options.api).then((server) => stack.use(server)),
    startEtcd(options.etcd).then((cluster) => stack.use(cluster)),
    startS3().then((server) => stack.use(server)),
  ]);
  const network = stack.use(await startFaultProxy(s3.endpoint));
  const raw = stack.adopt(rawClient(s3), (client) => client.destroy());
  await api.applyCrds();
  const kube = kubeOf(api);
  await kube.apply(...secretsOf(etcd, s3, options.etcd?.auth));

  const objects = async (bucket: string): Promise<string[]> => {
    const { Contents = [] } = await raw.send(new ListObjectsV2Command({ Bucket: bucket }));
    return Contents.map(({ Key = "" }) => Key).filter((key) => !key.startsWith(".probe-"));
  };
  const bench: Omit<Bench, keyof AsyncDisposable> = {
    api,
    kube,
    etcd,
    s3,
    network,
    raw,
    storeObject: (name, spec = {}, namespace = "default") => ({
      apiVersion,
      kind: "EtcdBackupStore",
      metadata: { name, namespace },
      spec: {
        s3: {
          endpoint: network.endpoint,
          forcePathStyle: true,
          bucket: name,
          credentialsSecretRef: { name: "s3" },
        },
        ...spec,
      },
    }),
    async addStore(name, spec, namespace) {
      await s3.createBucket(name);
      await kube.apply(bench.storeObject(name, spec, namespace));
    },
    backupObject: (name, store, { etcd: connection = {}, ...spec } = {}, namespace = "default") => ({
      apiVersion,
      kind: "EtcdBackup",
      metadata: { name, namespace },
      spec: {
        clusterName: "prod",
        storeRef: { name: store },
        etcd: { ...connectionOf(etcd, options.etcd?.auth !== undefined), ...connection },
        ...spec,
      },
    }),
    objects,
    unfinished: (bucket) => unfinishedUploads(raw, bucket),
    manifests: async (bucket) =>
      (await objects(bucket)).flatMap((key) => /([^/]+)\.json$/.exec(key)?.[1] ?? []),
    hold(which, then = () => {}) {
      const reached = Promise.withResolvers<Seen>();
      const released = Promise.withResolvers<Fault | undefined>();
      network.fault = async (request) => {
        if (!which(request)) return undefined;
        then();
        reached.resolve(request);
        return released.promise;
      };
      return {
        reached: () => within("the request that the test holds", reached.promise, 60),
        release(fault) {
          network.fault = () => undefined;
          released.resolve(fault);
        },
      };
    },
  };
  const started = stack.move();
  return { ...bench, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

function connectionOf(etcd: EtcdCluster, auth: boolean): object {
  return {
    endpoints: etcd.endpoints,
    ...(etcd.tls === undefined ? {} : { tls: { secretRef: { name: "etcd-client" } } }),
    ...(auth ? { auth: { secretRef: { name: "etcd-user" } } } : {}),
  };
}

/** Secrets `s3`, `etcd-client` and `etcd-user`, as far as the servers need them. */
export function secretsOf(
  { tls }: EtcdCluster,
  s3: S3Server,
  auth: EtcdOptions["auth"],
  namespace = "default",
): object[] {
  return [
    secret("s3", { AWS_ACCESS_KEY_ID: s3.accessKeyId, AWS_SECRET_ACCESS_KEY: s3.secretAccessKey }, namespace),
    ...(tls === undefined
      ? []
      : [
          secret(
            "etcd-client",
            { "ca.crt": tls.caPem, "tls.crt": tls.certPem, "tls.key": tls.keyPem },
            namespace,
          ),
        ]),
    ...(auth === undefined ? [] : [secret("etcd-user", { ...auth }, namespace)]),
  ];
}

/** Enough that no compression brings it below two parts of a multipart upload. */
export async function fillTwoParts(etcd: EtcdCluster): Promise<void> {
  for (let i = 0; i < 10; i += 1) await etcd.etcdctl(["put", `/fill/${i}`], { input: randomText(1_400_000) });
}

function randomText(length: number): string {
  return randomBytes(length)
    .toString("latin1")
    .replaceAll(/[^!-~]/g, "x")
    .slice(0, length);
}
