{{/*
All objects of a service. To add one: an entry in values.yaml and the schema, and a file that includes this with
  root      the chart's context
  name      component, and the service's name in contracts: producer; its values are at the same name in camel case
  kind      Deployment, or StatefulSet where the pod's name has to stay (group.instance.id, transactional.id)
  settings  a map of the service's own settings, without prefix
and, where it wants them,
  command   program and arguments instead of the image's
  state     whether it spills state to /var/lib/headgate
  connected whether it runs on the runtime, with Kafka and registry; its pods wait for their topics and schemas
  values    path of its values where that is another than its name's
  prefix    of its variables, where that is not HEADGATE_<NAME>_
  health    {port, live, ready} where these are not 8080, /healthz and /readyz
  egress    names of values.networkPolicy.egress it needs beside DNS; registry and model mean the bundled ones where these are on
  ingress   names of values.networkPolicy.ingress: whose pods may reach it
  from      components of the release that may
  secrets   files of its own from Secrets: a list of {secret, key, path}, below /etc/headgate
*/}}
{{- define "headgate.service" -}}
{{- $values := include "headgate.valuesOf" . | fromYaml -}}
{{- if $values.enabled -}}
{{- $_ := set . "values" $values -}}
{{- $_ := set . "health" (.health | default (dict "port" 8080 "live" "/healthz" "ready" "/readyz")) -}}
{{- if not (hasKey . "prefix") }}{{ $_ := set . "prefix" (include "headgate.prefix" .) }}{{ end -}}
{{- if .connected -}}
{{- $_ := set . "http" true -}}
{{- $_ := set . "settings" (merge (deepCopy .settings) (include "headgate.connections" . | fromYaml) (include "headgate.runtime" . | fromYaml)) -}}
{{- end -}}
{{- include "headgate.workload" . }}
---
{{ include "headgate.clusterService" . }}
---
{{ include "headgate.serviceAccount" . }}
---
{{ include "headgate.disruptionBudget" . }}
{{- if .root.Values.networkPolicy.enabled }}
---
{{ include "headgate.networkPolicy" . }}
{{- end }}
{{- if $values.autoscaling.enabled }}
---
{{ include "headgate.scaledObject" . }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "headgate.workload" -}}
apiVersion: apps/v1
kind: {{ .kind }}
metadata:
  {{- include "headgate.metadata" . | nindent 2 }}
spec:
  {{- if not .values.autoscaling.enabled }}
  replicas: {{ .values.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  {{- if eq .kind "StatefulSet" }}
  serviceName: {{ include "headgate.fullname" .root }}-{{ .name }}
  podManagementPolicy: Parallel
  updateStrategy:
    type: RollingUpdate
  {{- else }}
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
  {{- end }}
  selector:
    matchLabels:
      {{- include "headgate.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      {{- with .values.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      labels:
        {{- include "headgate.selectorLabels" . | nindent 8 }}
        {{- with .values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "headgate.pod" . | nindent 6 }}
{{- end -}}

{{- define "headgate.clusterService" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "headgate.metadata" . | nindent 2 }}
spec:
  {{- if eq .kind "StatefulSet" }}
  clusterIP: None
  publishNotReadyAddresses: true
  {{- end }}
  selector:
    {{- include "headgate.selectorLabels" . | nindent 4 }}
  ports:
    - {name: http, port: 8080, targetPort: http}
{{- end -}}

{{- define "headgate.serviceAccountName" -}}
{{ include "headgate.fullname" .root }}-{{ .account | default .name }}
{{- end -}}

{{- define "headgate.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "headgate.metadata" . | nindent 2 }}
  {{- with dig (.name | camelcase | untitle) "annotations" dict .root.Values.serviceAccounts }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end -}}

{{- define "headgate.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "headgate.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "headgate.selectorLabels" . | nindent 6 }}
{{- end -}}
