{{/* In the host's network, two Pods on one node would use the same port. The old Pod stops first. */}}
{{- define "etcd-backup-operator.strategy" -}}
{{- if .Values.strategy -}}
{{ toYaml .Values.strategy }}
{{- else -}}
type: RollingUpdate
rollingUpdate:
  maxSurge: {{ ternary 0 1 .Values.kubeadm.enabled }}
  maxUnavailable: {{ ternary 1 0 .Values.kubeadm.enabled }}
{{- end -}}
{{- end -}}

{{- define "etcd-backup-operator.podPlacement" -}}
{{- $placement := dict -}}
{{- $nodeSelector := .Values.nodeSelector -}}
{{- $tolerations := .Values.tolerations -}}
{{- $spread := .Values.topologySpreadConstraints -}}
{{- if .Values.kubeadm.enabled -}}
{{- $placement = dict "hostNetwork" true "dnsPolicy" "ClusterFirstWithHostNet" -}}
{{- $nodeSelector = merge (dict "node-role.kubernetes.io/control-plane" "") $nodeSelector -}}
{{- $tolerations = append $tolerations (dict "key" "node-role.kubernetes.io/control-plane" "operator" "Exists") -}}
{{- end -}}
{{- if and (not $spread) (gt (int .Values.replicas) 1) -}}
{{- $self := dict "matchLabels" (include "etcd-backup-operator.selectorLabels" . | fromYaml) -}}
{{- $spread = list (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway" "labelSelector" $self) -}}
{{- end -}}
{{- with $nodeSelector }}{{ $_ := set $placement "nodeSelector" . }}{{ end -}}
{{- with $tolerations }}{{ $_ := set $placement "tolerations" . }}{{ end -}}
{{- with .Values.affinity }}{{ $_ := set $placement "affinity" . }}{{ end -}}
{{- with $spread }}{{ $_ := set $placement "topologySpreadConstraints" . }}{{ end -}}
{{- with .Values.priorityClassName }}{{ $_ := set $placement "priorityClassName" . }}{{ end -}}
{{- with $placement }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* Only root can read the etcd keys that kubeadm writes. */}}
{{- define "etcd-backup-operator.podSecurityContext" -}}
{{- if .Values.kubeadm.enabled -}}
{{- $context := omit .Values.podSecurityContext "fsGroup" "fsGroupChangePolicy" -}}
{{- /* merge would treat 0 and false as unset. */ -}}
{{- range $key, $value := dict "runAsNonRoot" false "runAsUser" 0 "runAsGroup" 0 }}{{ $_ := set $context $key $value }}{{ end -}}
{{ toYaml $context }}
{{- else -}}
{{ toYaml .Values.podSecurityContext }}
{{- end -}}
{{- end -}}

{{- define "etcd-backup-operator.args" -}}
- --log-level={{ .Values.logLevel }}
- operator
- --listen={{ include "etcd-backup-operator.listen" . }}
- --lease-name={{ include "etcd-backup-operator.fullname" . }}
- --lease-duration={{ .Values.leaderElection.leaseDuration }}
- --max-concurrent-backups={{ .Values.maxConcurrentBackups }}
{{- with .Values.watchNamespaces }}
- --watch-namespaces={{ join "," . }}
{{- end }}
{{- with .Values.hostPathNamespaces }}
- {{ printf "--host-path-namespaces=%s" (join "," .) | quote }}
{{- end }}
{{- with .Values.ambientCredentialsNamespaces }}
- {{ printf "--ambient-credentials-namespaces=%s" (join "," .) | quote }}
{{- end }}
{{- with .Values.ambientCredentialsEndpoints }}
- {{ printf "--ambient-credentials-endpoints=%s" (join "," .) | quote }}
{{- end }}
{{- with .Values.crossNamespaceEtcdNamespaces }}
- {{ printf "--cross-namespace-etcd-namespaces=%s" (join "," .) | quote }}
{{- end }}
{{- with .Values.loopbackNamespaces }}
- {{ printf "--loopback-namespaces=%s" (join "," .) | quote }}
{{- end }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "etcd-backup-operator.env" -}}
{{- $given := list }}
{{- range .Values.extraEnv }}{{- $given = append $given .name }}{{- end -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: OPERATOR_IMAGE
  value: {{ include "etcd-backup-operator.image" . | quote }}
{{- $memory := dig "limits" "memory" "" .Values.resources }}
{{- $mebibytes := include "etcd-backup-operator.mebibytes" $memory }}
{{- if and $mebibytes (not (has "NODE_OPTIONS" $given)) }}
# Half of the memory limit. The snapshots' buffers lie outside the heap.
- name: NODE_OPTIONS
  value: --max-old-space-size={{ div (int $mebibytes) 2 }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Refuse a name that would appear twice: the API server uses the last one, and server-side apply refuses both. */}}
{{- define "etcd-backup-operator.checkEnv" -}}
{{- range .Values.extraEnv }}
{{- if has .name (list "POD_NAME" "POD_NAMESPACE" "OPERATOR_IMAGE") }}
{{- fail (printf "extraEnv: %s is set by the chart" .name) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "etcd-backup-operator.probe" -}}
{{- $context := index . 0 -}}
{{- if include "etcd-backup-operator.loopback" $context -}}
host: {{ include "etcd-backup-operator.listenAddress" $context | quote }}
{{ end -}}
path: {{ index . 1 }}
port: http
{{- end -}}
