/**
 * What the operator is allowed to do in a cluster: the chart has to grant exactly this. `patch` on the resources
 * themselves is for finalizers, `patch` on `/status` for the status. Secrets are read by name and never listed or
 * watched. Schedules and catalogs create and delete EtcdBackups. The operator never changes or deletes what a restore created.
 */
export const operatorRules = [
  {
    apiGroups: ["etcdbackup.dev"],
    resources: ["etcdbackups", "etcdbackupschedules", "etcdbackupstores", "etcdrestores"],
    verbs: ["get", "list", "watch"],
  },
  { apiGroups: ["etcdbackup.dev"], resources: ["etcdbackups"], verbs: ["create", "delete"] },
  { apiGroups: ["etcdbackup.dev"], resources: ["etcdbackups", "etcdbackupstores"], verbs: ["patch"] },
  {
    apiGroups: ["etcdbackup.dev"],
    resources: [
      "etcdbackups/status",
      "etcdbackupschedules/status",
      "etcdbackupstores/status",
      "etcdrestores/status",
    ],
    verbs: ["patch"],
  },
  { apiGroups: [""], resources: ["namespaces"], verbs: ["get"] },
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
