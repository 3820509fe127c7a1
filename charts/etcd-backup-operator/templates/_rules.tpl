{{/*
The operator's rules, each once. test/integration/chart/chart.test.ts compares them with the rules that the integration
tests run with. Each set applies in these namespaces:

  watched    all namespaces, or watchNamespaces
  secrets    as watched, or rbac.secretNamespaces if set
  discovery  as watched, and rbac.discoveryNamespaces
  restores   rbac.restoreNamespaces, or watchNamespaces, or the release's namespace, in separate Roles; none without
             rbac.restores
  lease      the release's namespace, in a separate Role
*/}}
{{- define "etcd-backup-operator.rules.watched" -}}
- apiGroups: [etcdbackup.dev]
  resources: [etcdbackups, etcdbackupschedules, etcdbackupstores, etcdrestores]
  verbs: [get, list, watch]
{{- /* Schedules and catalogs create EtcdBackups, and delete those beyond a limit or without a stored backup. */}}
- apiGroups: [etcdbackup.dev]
  resources: [etcdbackups]
  verbs: [create, delete]
- apiGroups: [etcdbackup.dev]
  resources: [etcdbackups, etcdbackupstores]
  verbs: [patch]
- apiGroups: [etcdbackup.dev]
  resources: [etcdbackups/status, etcdbackupschedules/status, etcdbackupstores/status, etcdrestores/status]
  verbs: [patch]
{{- /* In a Role this permits only its own namespace. */}}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{- define "etcd-backup-operator.rules.secrets" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- end -}}

{{- define "etcd-backup-operator.rules.discovery" -}}
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list]
{{- end -}}

{{/* RBAC cannot restrict create to a name, because the API server authorizes the request before it knows the name. */}}
{{- define "etcd-backup-operator.rules.lease" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "etcd-backup-operator.fullname" . }}]
  verbs: [get, update]
{{- end -}}

{{/* The operator creates each object once and reads it. It never changes or deletes one. */}}
{{- define "etcd-backup-operator.rules.restores" -}}
- apiGroups: [""]
  resources: [persistentvolumeclaims, services]
  verbs: [get, create]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, create]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, create]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, create]
{{- end -}}
