/** A CRD as a template of the chart: the same object with the chart's labels and annotations, if crds.enabled is set. */
export function crdTemplate(crd: string): string {
  const [comment = "", ...lines] = crd.split("\n");
  const at = lines.findIndex((line) => /^  name: \S+$/.test(line));
  if (!comment.startsWith("#") || lines[at - 1] !== "metadata:")
    throw new Error(`not a CRD of scripts/crds.ts: ${crd.slice(0, 200)}`);
  const escaped = lines.map((line) => line.replaceAll("{{", '{{ "{{" }}'));
  return [
    `{{/* ${comment.replace(/^# */, "")} */}}`,
    "{{- if .Values.crds.enabled }}",
    ...escaped.slice(0, at + 1),
    ...metadata,
    ...escaped
      .slice(at + 1)
      .join("\n")
      .trimEnd()
      .split("\n"),
    "{{- end }}",
    "",
  ].join("\n");
}

const metadata = [
  "  labels:",
  '    {{- include "etcd-backup-operator.labels" . | nindent 4 }}',
  '  {{- with include "etcd-backup-operator.crdAnnotations" . }}',
  "  annotations:",
  "    {{- . | nindent 4 }}",
  "  {{- end }}",
];
