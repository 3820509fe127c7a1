import type { EtcdConnection } from "../../api/v1alpha1/etcd-connection.ts";
import type { EtcdRestore } from "../../api/v1alpha1/etcd-restore.ts";
import { OperatorError } from "../errors.ts";
import { parseEtcdVersion } from "../etcd/version.ts";

/** Label on every object that a restore creates, with the EtcdRestore's UID. An object without it has another owner. */
export const restoreLabel = "etcdbackup.dev/restore";

export const clientPort = 2379;

export const peerPort = 2380;

export function memberName({ spec }: EtcdRestore, index: number): string {
  return `${spec.target.cluster.name}-${index}`;
}

export function volumeName(restore: EtcdRestore, index: number): string {
  return `data-${memberName(restore, index)}`;
}

export function jobName(restore: EtcdRestore, index: number, attempt: number): string {
  return `${memberName(restore, index)}-restore-${attempt}`;
}

export function peerServiceName({ spec }: EtcdRestore): string {
  return `${spec.target.cluster.name}-peers`;
}

export function clientServiceName({ spec }: EtcdRestore): string {
  return `${spec.target.cluster.name}-client`;
}

/** Labels of the members' Pods, which the Pods of the restore Jobs do not have. */
export function memberLabels({ spec }: EtcdRestore): Record<string, string> {
  return { ...clusterLabels(spec.target.cluster.name), "app.kubernetes.io/component": "member" };
}

export function clusterLabels(name: string): Record<string, string> {
  return { "app.kubernetes.io/name": "etcd", "app.kubernetes.io/instance": name };
}

export function namespaceOf({ metadata }: EtcdRestore): string {
  return metadata.namespace ?? "default";
}

/**
 * The version of etcd in the target's image: spec.target.cluster.etcdVersion, or else the version in the image's tag.
 * Throws InvalidConfiguration when neither gives it.
 */
export function targetVersion({ spec }: EtcdRestore): string {
  const { image, etcdVersion } = spec.target.cluster;
  if (etcdVersion !== undefined) return etcdVersion;
  const tag = /:([^/@:]+)(@.*)?$/.exec(image)?.[1] ?? "";
  const parsed = parseEtcdVersion(tag);
  if (parsed !== undefined) return `${parsed.major}.${parsed.minor}.${parsed.patch}`;
  throw new OperatorError("InvalidConfiguration", `the tag of ${image} contains no etcd version`, {
    hint: "set spec.target.cluster.etcdVersion",
  });
}

/** The members' peer URLs, and the value of `--initial-cluster`. Both are written into the data and never change. */
export function membershipOf(restore: EtcdRestore): {
  peerUrls: (index: number) => string;
  initialCluster: string;
} {
  const { replicas, tls } = restore.spec.target.cluster;
  const scheme = tls?.peer === undefined ? "http" : "https";
  const domain = `${peerServiceName(restore)}.${namespaceOf(restore)}.svc`;
  const peerUrls = (index: number) => `${scheme}://${memberName(restore, index)}.${domain}:${peerPort}`;
  const all = Array.from({ length: replicas }, (_, i) => `${memberName(restore, i)}=${peerUrls(i)}`);
  return { peerUrls, initialCluster: all.join(",") };
}

/** The connection from the operator to the new cluster. */
export function connectionTo(restore: EtcdRestore): EtcdConnection {
  const { tls, auth } = restore.spec.target.cluster;
  const secure = tls?.client !== undefined;
  return {
    podSelector: { matchLabels: memberLabels(restore), port: clientPort, scheme: secure ? "https" : "http" },
    ...(tls?.client === undefined
      ? {}
      : {
          tls: {
            secretRef: tls.client,
            serverName: `${clientServiceName(restore)}.${namespaceOf(restore)}.svc`,
          },
        }),
    ...(auth === undefined ? {} : { auth }),
    memberSelection: { prefer: "Follower", maxLag: 1000, allowWithoutQuorum: false },
  };
}
