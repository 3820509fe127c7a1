{{/*
What the operator may do, each rule once. test/integration/chart/chart.test.ts holds them against the rules that the
integration tests run with. "scope" says where a rule applies:

  watched    where the resources are: all namespaces, or watchNamespaces
  secrets    there too, unless rbac.secretNamespaces narrows it
  discovery  there too, and in rbac.discoveryNamespaces
  restores   as watched, while rbac.restores is on

The Lease has a Role of its own in the release's namespace.
*/}}
{{- define "etcd-backup-operator.rules.watched" -}}
- apiGroups: [etcdbackup.dev]
  resources: [etcdbackups, etcdbackupstores, etcdrestores]
  verbs: [get, list, watch]
- apiGroups: [etcdbackup.dev]
  resources: [etcdbackups]
  verbs: [patch]
- apiGroups: [etcdbackup.dev]
  resources: [etcdbackups/status, etcdbackupstores/status, etcdrestores/status]
  verbs: [patch]
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

{{/* create cannot be narrowed to a name: the API server does not know it yet when it decides. */}}
{{- define "etcd-backup-operator.rules.lease" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "etcd-backup-operator.fullname" . }}]
  verbs: [get, update]
{{- end -}}

{{/* Each object is created once and looked at; none is ever changed or deleted. */}}
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
