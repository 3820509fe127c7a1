import { readFile } from "node:fs/promises";
import type { EtcdBackupSpec } from "../api/v1alpha1/etcd-backup.ts";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import { OperatorError } from "../core/errors.ts";
import type { EtcdAccess } from "../etcd/endpoint.ts";
import type { StoreConfig } from "../store/url.ts";

/** What the resolvers read from the API server. Secrets are read anew for every attempt, so rotation needs no restart. */
export interface ConnectionReader {
  secret(namespace: string, name: string, signal: AbortSignal): Promise<Record<string, Buffer>>;
  /** IPs of the running pods with these labels. */
  podIPs(namespace: string, matchLabels: Record<string, string>, signal: AbortSignal): Promise<string[]>;
  /** IPs of the ready endpoints of a Service. */
  serviceIPs(namespace: string, name: string, signal: AbortSignal): Promise<string[]>;
}

const etcdTimeoutMs = 5_000;

/**
 * Paths on the operator's own disk, such as a mounted control-plane certificate, are everybody's who may name them:
 * so only these namespaces may. "all" trusts whoever may create an EtcdBackup anywhere.
 */
export type HostPathNamespaces = ReadonlySet<string> | "all";

function checkHostPath(field: string, namespace: string, allowed: HostPathNamespaces): void {
  if (allowed === "all" || allowed.has(namespace)) return;
  throw new OperatorError(
    "InvalidConfiguration",
    `${field} names a path where the operator runs, which namespace ${namespace} may not use`,
    {
      hint: "use a Secret or s3, or start the operator with --host-path-namespaces",
    },
  );
}

/** How to reach a cluster, and the namespace that names in it are of. */
export interface Connecting {
  metadata: { namespace?: string };
  spec: Pick<EtcdBackupSpec, "etcd">;
}

/** The client URLs that the spec names or describes. Throws NoUsableMember when it describes none. */
export async function endpointsFor(
  { metadata, spec }: Connecting,
  reader: ConnectionReader,
  signal: AbortSignal,
): Promise<string[]> {
  const { endpoints, service, podSelector } = spec.etcd;
  if (endpoints !== undefined) return endpoints;
  const here = metadata.namespace ?? "default";
  if (service !== undefined) {
    const namespace = service.namespace ?? here;
    const ips = await reader.serviceIPs(namespace, service.name, signal);
    if (ips.length === 0) throw none(`Service ${namespace}/${service.name} has no ready endpoints`);
    return ips.map((ip) => clientUrl(service.scheme, ip, service.port));
  }
  if (podSelector !== undefined) {
    const namespace = podSelector.namespace ?? here;
    const ips = await reader.podIPs(namespace, podSelector.matchLabels, signal);
    const labels = Object.entries(podSelector.matchLabels).map(([k, v]) => `${k}=${v}`);
    if (ips.length === 0)
      throw none(`no running pod in namespace ${namespace} has the labels ${labels.join(",")}`);
    return ips.map((ip) => clientUrl(podSelector.scheme, ip, podSelector.port));
  }
  throw new OperatorError("InvalidConfiguration", "spec.etcd has none of endpoints, service, podSelector");
}

function none(message: string): OperatorError {
  return new OperatorError("NoUsableMember", message, { hint: "check spec.etcd, and that etcd runs" });
}

function clientUrl(scheme: string, ip: string, port: number): string {
  return `${scheme}://${ip.includes(":") ? `[${ip}]` : ip}:${port}`;
}

export interface ResolveOptions {
  reader: ConnectionReader;
  hostPaths: HostPathNamespaces;
  signal: AbortSignal;
}

/** TLS material and user for etcd, from Secrets or from files mounted into the operator. */
export async function etcdAccessFor(
  { metadata, spec }: Connecting,
  { reader, hostPaths, signal }: ResolveOptions,
): Promise<EtcdAccess> {
  const namespace = metadata.namespace ?? "default";
  if (spec.etcd.tls?.files !== undefined) checkHostPath("spec.etcd.tls.files", namespace, hostPaths);
  const given = await tlsFor(spec.etcd.tls, namespace, reader, signal);
  // Behind a Service the members are asked by IP, which their certificates seldom name.
  const { service } = spec.etcd;
  const serverName =
    given?.serverName ??
    (service?.scheme === "https" ? `${service.name}.${service.namespace ?? namespace}.svc` : undefined);
  const tls =
    given === undefined && serverName === undefined
      ? undefined
      : { ...given, ...(serverName === undefined ? {} : { serverName }) };
  const authName = spec.etcd.auth?.secretRef.name;
  if (authName === undefined) return { ...(tls === undefined ? {} : { tls }), timeoutMs: etcdTimeoutMs };
  const secret = await reader.secret(namespace, authName, signal);
  const auth = { username: text(secret, "username", authName), password: text(secret, "password", authName) };
  return { ...(tls === undefined ? {} : { tls }), auth, timeoutMs: etcdTimeoutMs };
}

async function tlsFor(
  tls: EtcdBackupSpec["etcd"]["tls"],
  namespace: string,
  reader: ConnectionReader,
  signal: AbortSignal,
): Promise<EtcdAccess["tls"]> {
  if (tls === undefined) return undefined;
  const serverName = tls.serverName === undefined ? {} : { serverName: tls.serverName };
  if (tls.files !== undefined) {
    const { ca, cert, key } = tls.files;
    return {
      ...(ca === undefined ? {} : { ca: await file(ca) }),
      ...(cert === undefined ? {} : { cert: await file(cert) }),
      ...(key === undefined ? {} : { key: await file(key) }),
      ...serverName,
    };
  }
  const name = tls.secretRef?.name;
  if (name === undefined) return serverName;
  const secret = await reader.secret(namespace, name, signal);
  // coreos's operator called them etcd-client*; its Secrets are still about.
  const ca = secret["ca.crt"] ?? secret["etcd-client-ca.crt"];
  const cert = secret["tls.crt"] ?? secret["etcd-client.crt"];
  const key = secret["tls.key"] ?? secret["etcd-client.key"];
  if (ca === undefined && cert === undefined) throw missing(name, "ca.crt");
  if (cert !== undefined && key === undefined) throw missing(name, "tls.key");
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...serverName,
  };
}

async function file(path: string): Promise<Buffer> {
  return readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new OperatorError(
      "InvalidConfiguration",
      `spec.etcd.tls.files: ${path} cannot be read where the operator runs: ${error.code ?? error.message}`,
      { permanent: false },
    );
  });
}

/** The store's settings with its credentials. Throws CredentialsNotFound, naming Secret and key. */
export async function storeConfigFor(
  { metadata, spec }: EtcdBackupStore,
  { reader, hostPaths, signal }: ResolveOptions,
): Promise<StoreConfig> {
  const namespace = metadata.namespace ?? "default";
  if (spec.file !== undefined) {
    checkHostPath("spec.file", namespace, hostPaths);
    return { kind: "file", path: spec.file.path };
  }
  const { s3 } = spec;
  if (s3 === undefined)
    throw new OperatorError("InvalidConfiguration", "the EtcdBackupStore has neither s3 nor file");
  const {
    credentialsSecretRef,
    caBundleSecretRef,
    prefix,
    region,
    endpoint,
    forcePathStyle,
    serverSideEncryption,
    storageClass,
  } = s3;
  const keys =
    credentialsSecretRef === undefined
      ? undefined
      : await reader.secret(namespace, credentialsSecretRef.name, signal);
  const bundle =
    caBundleSecretRef === undefined
      ? undefined
      : await reader.secret(namespace, caBundleSecretRef.name, signal);
  return {
    kind: "s3",
    bucket: s3.bucket,
    prefix: prefix ?? "",
    forcePathStyle,
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(serverSideEncryption === undefined ? {} : { serverSideEncryption }),
    ...(storageClass === undefined ? {} : { storageClass }),
    ...(keys === undefined || credentialsSecretRef === undefined
      ? {}
      : { credentials: s3Keys(keys, credentialsSecretRef.name) }),
    ...(bundle === undefined || caBundleSecretRef === undefined
      ? {}
      : { caBundlePem: text(bundle, "ca.crt", caBundleSecretRef.name) }),
  };
}

function s3Keys(secret: Record<string, Buffer>, name: string) {
  const sessionToken = secret["AWS_SESSION_TOKEN"]?.toString().replace(/\r?\n$/, "");
  return {
    accessKeyId: text(secret, "AWS_ACCESS_KEY_ID", name),
    secretAccessKey: text(secret, "AWS_SECRET_ACCESS_KEY", name),
    ...(sessionToken === undefined || sessionToken === "" ? {} : { sessionToken }),
  };
}

function text(secret: Record<string, Buffer>, key: string, name: string): string {
  const value = secret[key]?.toString().replace(/\r?\n$/, "");
  if (value === undefined || value === "") throw missing(name, key);
  return value;
}

function missing(secret: string, key: string): OperatorError {
  return new OperatorError("CredentialsNotFound", `Secret ${secret} has no key ${key}`, {
    hint: "add the key; the next attempt reads it",
  });
}
