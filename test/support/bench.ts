import type { S3Client } from "@aws-sdk/client-s3";
import { type ApiServer, type ApiServerOptions, startApiServer } from "../harness/api-server.ts";
import { type EtcdCluster, type EtcdOptions, startEtcd } from "../harness/etcd-cluster.ts";
import { type S3Server, startS3 } from "../harness/s3-server.ts";
import { resourceObject, secret } from "./custom-resources.ts";
import { type Kube, kubeOf } from "./kube.ts";
import { type Hold, holdRequests } from "./request-hold.ts";
import { isOwnership } from "./files.ts";
import { objectKeys, rawClient, unfinishedUploads } from "./s3-store.ts";
import { type S3FaultProxy, type S3Request, startS3FaultProxy } from "./s3-fault-proxy.ts";

/** An API server with the CRDs, an etcd to back up, an S3 server, and a network between operator and S3. */
export interface Bench extends AsyncDisposable, BenchObjects, BenchBuckets {
  readonly api: ApiServer;
  readonly kube: Kube;
  readonly etcd: EtcdCluster;
  readonly s3: S3Server;
  readonly network: S3FaultProxy;
  readonly raw: S3Client;
  /** Creates a bucket and an EtcdBackupStore of this name. */
  addStore(name: string, spec?: object, namespace?: string): Promise<void>;
  /** Holds every request to the store for which `which` is true until `release`, and calls `then` when one arrives. */
  hold(which: (request: S3Request) => boolean, then?: () => void): Hold;
}

/** Manifests of objects that use the servers of the bench. */
interface BenchObjects {
  storeObject(name: string, spec?: object, namespace?: string): object;
  /** An EtcdBackup of the cluster. The fields of `etcd` and `spec` replace the default ones. */
  backupObject(
    name: string,
    store: string,
    spec?: { etcd?: object; [field: string]: unknown },
    namespace?: string,
  ): object;
}

interface BenchBuckets {
  /** Keys in a bucket, except those that a probe of the store puts and removes. */
  objects(bucket: string): Promise<string[]>;
  /** Keys of unfinished multipart uploads in a bucket. */
  unfinished(bucket: string): Promise<string[]>;
  /** Names of the backups in a bucket that have a manifest. */
  manifests(bucket: string): Promise<string[]>;
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
  const network = stack.use(await startS3FaultProxy(s3.endpoint));
  const raw = stack.adopt(rawClient(s3), (client) => client.destroy());
  await api.applyCrds();
  const kube = kubeOf(api.kubectl);
  await kube.apply(...secretsOf(etcd, s3, options.etcd?.auth));
  const manifests = objectsOf(network, etcd, options.etcd?.auth !== undefined);
  const started = stack.move();
  return {
    api,
    kube,
    etcd,
    s3,
    network,
    raw,
    ...manifests,
    ...bucketsOf(raw),
    async addStore(name, spec, namespace) {
      await s3.createBucket(name);
      await kube.apply(manifests.storeObject(name, spec, namespace));
    },
    hold: (which, then) => holdRequests(network, which, then),
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

function objectsOf(network: S3FaultProxy, etcd: EtcdCluster, auth: boolean): BenchObjects {
  const connection = {
    endpoints: etcd.endpoints,
    ...(etcd.tls === undefined ? {} : { tls: { secretRef: { name: "etcd-client" } } }),
    ...(auth ? { auth: { secretRef: { name: "etcd-user" } } } : {}),
  };
  return {
    storeObject(name, spec = {}, namespace) {
      const credentialsSecretRef = { name: "s3" };
      const s3 = { endpoint: network.endpoint, forcePathStyle: true, bucket: name, credentialsSecretRef };
      return resourceObject("EtcdBackupStore", name, { s3, ...spec }, namespace);
    },
    backupObject(name, store, { etcd: changes = {}, ...spec } = {}, namespace) {
      const base = { clusterName: "prod", storeRef: { name: store }, etcd: { ...connection, ...changes } };
      return resourceObject("EtcdBackup", name, { ...base, ...spec }, namespace);
    },
  };
}

function bucketsOf(raw: S3Client): BenchBuckets {
  const objects = async (bucket: string): Promise<string[]> =>
    (await objectKeys(raw, bucket)).filter((key) => !key.startsWith(".probe-") && !isOwnership(key));
  return {
    objects,
    unfinished: (bucket) => unfinishedUploads(raw, bucket),
    manifests: async (bucket) =>
      (await objects(bucket)).flatMap((key) => /([^/]+)\.json$/.exec(key)?.[1] ?? []),
  };
}

/** The Secrets `s3`, `etcd-client` and `etcd-user`, as far as the servers need them. */
export function secretsOf(
  { tls }: EtcdCluster,
  s3: S3Server,
  auth: EtcdOptions["auth"],
  namespace = "default",
): object[] {
  const keys = { AWS_ACCESS_KEY_ID: s3.accessKeyId, AWS_SECRET_ACCESS_KEY: s3.secretAccessKey };
  const secrets = [secret("s3", keys, namespace)];
  if (tls !== undefined) {
    const files = { "ca.crt": tls.caPem, "tls.crt": tls.certPem, "tls.key": tls.keyPem };
    secrets.push(secret("etcd-client", files, namespace));
  }
  if (auth !== undefined) secrets.push(secret("etcd-user", { ...auth }, namespace));
  return secrets;
}
