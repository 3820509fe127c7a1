import type { EtcdRestore } from "../../api/v1alpha1/etcd-restore.ts";
import { clusterLabels } from "../../core/restore/names.ts";

export const mountPath = "/var/lib/etcd";

/** Below the mount, since a fresh file system has a lost+found and a volume's root is seldom etcd's own. */
export const dataDir = `${mountPath}/data`;

/** As distroless images number their user. */
const nobody = 65532;

export function podMetadata(restore: EtcdRestore, component: "member" | "restore"): object {
  const { name, podTemplate } = restore.spec.target.cluster;
  return {
    labels: { ...podTemplate?.labels, ...clusterLabels(name), "app.kubernetes.io/component": component },
    ...(podTemplate?.annotations === undefined ? {} : { annotations: podTemplate.annotations }),
  };
}

/** Jobs are placed as their members will be: a volume is made where its first Pod runs. */
export function podDefaults({ spec }: EtcdRestore): Record<string, unknown> {
  const { name, podTemplate = {} } = spec.target.cluster;
  const { labels: _, annotations: __, securityContext, affinity, ...placed } = podTemplate;
  const apart = {
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
    ...placed,
    automountServiceAccountToken: podTemplate.serviceAccountName !== undefined,
    affinity: affinity ?? apart,
    securityContext: securityContext ?? {
      runAsNonRoot: true,
      runAsUser: nobody,
      runAsGroup: nobody,
      fsGroup: nobody,
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
