import { readFile } from "node:fs/promises";
import type { EtcdConnection } from "../api/v1alpha1/etcd-connection.ts";
import { OperatorError } from "../core/errors.ts";
import { type EtcdCluster, openCluster } from "../etcd/cluster.ts";
import type { EtcdAccess } from "../etcd/endpoint.ts";
import { type ConnectionReader, missingKey, secretText } from "./connection-reader.ts";
import { refuseOwnUrl } from "./own-addresses.ts";
import { type Permissions, checkHostPath, checkOtherNamespace, isPermitted } from "./permissions.ts";

const etcdTimeoutMs = 5_000;

/** A resource that has a connection to an etcd cluster. Names without a namespace are in the resource's namespace. */
export interface ClusterConnection {
  metadata: { namespace?: string };
  spec: { etcd: EtcdConnection };
}

/** Opens the cluster of a resource, with what the namespace of the resource may use of the operator. */
export async function openClusterOf(
  connection: ClusterConnection,
  options: ResolveOptions,
): Promise<EtcdCluster> {
  const namespace = connection.metadata.namespace ?? "default";
  const endpoints = await endpointsFor(connection, options);
  const access = await etcdAccessFor(connection, options);
  const isExempt = isPermitted(namespace, options.permissions.loopback);
  return openCluster(endpoints, isExempt ? access : { ...access, checkUrl: refuseOwnUrl });
}

/**
 * The client URLs in spec.etcd, or those of its Service or Pods. Throws NoUsableMember when there are none, and
 * InvalidConfiguration for a namespace that the resource may not use.
 */
export async function endpointsFor(
  { metadata, spec }: ClusterConnection,
  { reader, permissions, signal }: ResolveOptions,
): Promise<string[]> {
  const { endpoints, service, podSelector } = spec.etcd;
  if (endpoints !== undefined) return endpoints;
  const ownNamespace = metadata.namespace ?? "default";
  const crossing = { own: ownNamespace, allowed: permissions.crossNamespaceEtcd };
  if (service !== undefined) {
    const namespace = service.namespace ?? ownNamespace;
    checkOtherNamespace("spec.etcd.service.namespace", namespace, crossing);
    const ips = await reader.serviceIPs(namespace, service.name, signal);
    if (ips.length === 0) throw noEndpoints(`Service ${namespace}/${service.name} has no ready endpoints`);
    return ips.map((ip) => clientUrl(service.scheme, ip, service.port));
  }
  if (podSelector !== undefined) {
    const namespace = podSelector.namespace ?? ownNamespace;
    checkOtherNamespace("spec.etcd.podSelector.namespace", namespace, crossing);
    const ips = await reader.podIPs(namespace, podSelector.matchLabels, signal);
    const labels = Object.entries(podSelector.matchLabels).map(([k, v]) => `${k}=${v}`);
    if (ips.length === 0)
      throw noEndpoints(`no running pod in namespace ${namespace} has the labels ${labels.join(",")}`);
    return ips.map((ip) => clientUrl(podSelector.scheme, ip, podSelector.port));
  }
  throw new OperatorError("InvalidConfiguration", "spec.etcd has none of endpoints, service, podSelector");
}

function noEndpoints(message: string): OperatorError {
  return new OperatorError("NoUsableMember", message, { hint: "check spec.etcd, and that etcd runs" });
}

function clientUrl(scheme: string, ip: string, port: number): string {
  return `${scheme}://${ip.includes(":") ? `[${ip}]` : ip}:${port}`;
}

export interface ResolveOptions {
  reader: ConnectionReader;
  permissions: Permissions;
  signal: AbortSignal;
}

/** The TLS material and the user for etcd, from Secrets or from files that are mounted into the operator's Pod. */
export async function etcdAccessFor(
  { metadata, spec }: ClusterConnection,
  { reader, permissions, signal }: ResolveOptions,
): Promise<EtcdAccess> {
  const namespace = metadata.namespace ?? "default";
  if (spec.etcd.tls?.files !== undefined)
    checkHostPath("spec.etcd.tls.files", namespace, permissions.hostPaths);
  const configured = await tlsFor(spec.etcd.tls, namespace, reader, signal);
  // The members of a Service are addressed by IP, and certificates rarely contain IPs.
  const { service } = spec.etcd;
  const serverName =
    configured?.serverName ??
    (service?.scheme === "https" ? `${service.name}.${service.namespace ?? namespace}.svc` : undefined);
  const tls =
    configured === undefined && serverName === undefined
      ? undefined
      : { ...configured, ...(serverName === undefined ? {} : { serverName }) };
  const authName = spec.etcd.auth?.secretRef.name;
  if (authName === undefined) return { ...(tls === undefined ? {} : { tls }), timeoutMs: etcdTimeoutMs };
  const secret = await reader.secret(namespace, authName, signal);
  const auth = {
    username: secretText(secret, "username", authName),
    password: secretText(secret, "password", authName),
  };
  return { ...(tls === undefined ? {} : { tls }), auth, timeoutMs: etcdTimeoutMs };
}

async function tlsFor(
  tls: EtcdConnection["tls"],
  namespace: string,
  reader: ConnectionReader,
  signal: AbortSignal,
): Promise<EtcdAccess["tls"]> {
  if (tls === undefined) return undefined;
  const serverName = tls.serverName === undefined ? {} : { serverName: tls.serverName };
  if (tls.files !== undefined) {
    const { ca, cert, key } = tls.files;
    return {
      ...(ca === undefined ? {} : { ca: await readTlsFile(ca) }),
      ...(cert === undefined ? {} : { cert: await readTlsFile(cert) }),
      ...(key === undefined ? {} : { key: await readTlsFile(key) }),
      ...serverName,
    };
  }
  const name = tls.secretRef?.name;
  if (name === undefined) return serverName;
  const secret = await reader.secret(namespace, name, signal);
  // Secrets of the CoreOS etcd operator have the keys etcd-client*.
  const ca = secret["ca.crt"] ?? secret["etcd-client-ca.crt"];
  const cert = secret["tls.crt"] ?? secret["etcd-client.crt"];
  const key = secret["tls.key"] ?? secret["etcd-client.key"];
  if (ca === undefined && cert === undefined) throw missingKey(name, "ca.crt");
  if (cert !== undefined && key === undefined) throw missingKey(name, "tls.key");
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...serverName,
  };
}

async function readTlsFile(path: string): Promise<Buffer> {
  return readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new OperatorError(
      "InvalidConfiguration",
      `spec.etcd.tls.files: the operator cannot read ${path}: ${error.code ?? error.message}`,
      { permanent: false },
    );
  });
}
