{{- define "etcd-backup-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 53 characters, so that a name with a suffix stays valid. */}}
{{- define "etcd-backup-operator.fullname" -}}
{{- $name := include "etcd-backup-operator.name" . -}}
{{- $own := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $own .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{- define "etcd-backup-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "etcd-backup-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "etcd-backup-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "etcd-backup-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "etcd-backup-operator.serviceAccountName" -}}
{{- $own := ternary (include "etcd-backup-operator.fullname" .) "default" .Values.serviceAccount.create -}}
{{- default $own .Values.serviceAccount.name -}}
{{- end -}}

{{- define "etcd-backup-operator.subject" -}}
- kind: ServiceAccount
  name: {{ include "etcd-backup-operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{- define "etcd-backup-operator.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The port and address of /healthz, /readyz and /metrics. An empty address listens on all addresses. */}}
{{- define "etcd-backup-operator.port" -}}
{{- ternary .Values.kubeadm.listenPort .Values.port .Values.kubeadm.enabled -}}
{{- end -}}
{{- define "etcd-backup-operator.listenAddress" -}}
{{- if .Values.kubeadm.enabled -}}{{ .Values.kubeadm.listenAddress }}{{- end -}}
{{- end -}}
{{- define "etcd-backup-operator.listen" -}}
{{- $address := include "etcd-backup-operator.listenAddress" . -}}
{{- printf "%s:%s" (ternary (printf "[%s]" $address) $address (contains ":" $address)) (include "etcd-backup-operator.port" .) -}}
{{- end -}}
{{/* "true" if only the node itself can reach the address. */}}
{{- define "etcd-backup-operator.loopback" -}}
{{- $address := include "etcd-backup-operator.listenAddress" . -}}
{{- if or (hasPrefix "127." $address) (eq "::1" $address) -}}true{{- end -}}
{{- end -}}

{{/* A memory quantity in MiB; empty if the quantity cannot be parsed. */}}
{{- define "etcd-backup-operator.mebibytes" -}}
{{- $text := kindIs "string" . | ternary . (printf "%.0f" (float64 .)) -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $unit := regexReplaceAll "^[0-9.]+" $text "" -}}
{{- if and (hasKey $units $unit) (regexMatch "^[0-9]" $text) -}}
{{- divf (mulf (float64 (trimSuffix $unit $text)) (get $units $unit)) 1048576 | floor | int -}}
{{- end -}}
{{- end -}}

{{- define "etcd-backup-operator.crdAnnotations" -}}
{{- $keep := ternary (dict "helm.sh/resource-policy" "keep") dict .Values.crds.keep -}}
{{- with merge $keep .Values.crds.annotations }}{{ toYaml . }}{{ end -}}
{{- end -}}
