{{/* What the release's objects are named by; a release named headgate makes headgate-producer and so on. */}}
{{- define "headgate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{/* Labels a selector may have: they never change. (root, name) */}}
{{- define "headgate.selectorLabels" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{/* (root, name) */}}
{{- define "headgate.labels" -}}
{{ include "headgate.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/part-of: headgate
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* metadata of an object of one service. (root, name) */}}
{{- define "headgate.metadata" -}}
name: {{ include "headgate.fullname" .root }}-{{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "headgate.labels" . | nindent 2 }}
{{- end -}}

{{/* An image by its digest where there is one, else by its tag. (root, image: {repository, tag, digest, registry}) */}}
{{- define "headgate.image" -}}
{{- $registry := .image.registry | default .root.Values.image.registry -}}
{{- $name := ternary .image.repository (printf "%s/%s" $registry .image.repository) (empty $registry) -}}
{{- if .image.digest -}}
{{ $name }}@{{ .image.digest }}
{{- else -}}
{{ $name }}:{{ .image.tag | default .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* A service's values over those of all, as YAML. (root, name, values) */}}
{{- define "headgate.valuesOf" -}}
{{- $own := .values | default (index .root.Values (.name | camelcase | untitle)) -}}
{{ mergeOverwrite (deepCopy .root.Values.defaults) $own | toYaml }}
{{- end -}}
