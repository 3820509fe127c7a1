import type { EtcdRestore } from "../../api/v1alpha1/etcd-restore.ts";
import { clusterLabels } from "../../core/restore/names.ts";

export const mountPath = "/var/lib/etcd";

/** A directory below the mount: the root of a volume may hold lost+found, and often belongs to another user. */
export const dataDir = `${mountPath}/data`;

/** UID and GID of the nonroot user in distroless images. */
const nonroot = 65532;

export function podMetadata(restore: EtcdRestore, component: "member" | "restore"): object {
  const { name, podTemplate } = restore.spec.target.cluster;
  return {
    labels: { ...podTemplate?.labels, ...clusterLabels(name), "app.kubernetes.io/component": component },
    ...(podTemplate?.annotations === undefined ? {} : { annotations: podTemplate.annotations }),
  };
}

/**
 * Scheduling and security of a member's Pods. The Job is scheduled as the member is, since the first Pod may bind the
 * volume to its node or zone.
 */
export function podDefaults({ spec }: EtcdRestore): Record<string, unknown> {
  const { name, podTemplate = {} } = spec.target.cluster;
  const { labels: _, annotations: __, securityContext, affinity, ...scheduling } = podTemplate;
  const spreadOverNodes = {
    podAntiAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        {
          weight: 100,
          podAffinityTerm: {
            labelSelector: { matchLabels: clusterLabels(name) },
            topologyKey: "kubernetes.io/hostname",
          },
        },
      ],
    },
  };
  return {
    ...scheduling,
    automountServiceAccountToken: podTemplate.serviceAccountName !== undefined,
    affinity: affinity ?? spreadOverNodes,
    securityContext: securityContext ?? {
      runAsNonRoot: true,
      runAsUser: nonroot,
      runAsGroup: nonroot,
      fsGroup: nonroot,
      fsGroupChangePolicy: "OnRootMismatch",
      seccompProfile: { type: "RuntimeDefault" },
    },
  };
}

export function containerDefaults({ spec }: EtcdRestore): Record<string, unknown> {
  const { resources } = spec.target.cluster;
  return {
    ...(resources === undefined ? {} : { resources }),
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
    terminationMessagePolicy: "FallbackToLogsOnError",
  };
}
