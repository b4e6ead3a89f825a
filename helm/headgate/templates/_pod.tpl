{{/* The pod all services share; what it is given is told at headgate.service. Without health it is a job's. */}}
{{- define "headgate.pod" -}}
{{- $root := .root -}}
{{- $values := .values -}}
{{- $mounts := include "headgate.mounts" . -}}
serviceAccountName: {{ include "headgate.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ add $values.drainTimeoutSeconds 30 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- include "headgate.placement" . }}
{{- if and .connected .health }}
initContainers:
  - name: await
    image: {{ include "headgate.image" (dict "root" $root "image" $root.Values.setup.image) }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    command: [headgate, await, {{ .name }}, --wait, {{ $root.Values.setup.deadlineSeconds | quote }}]
    env:
      {{- include "headgate.env" (dict "prefix" "HEADGATE_ADMIN_" "settings" (include "headgate.connections" . | fromYaml)) | trim | nindent 6 }}
    {{- include "headgate.confined" . | nindent 4 }}
    resources:
      {{- toYaml $root.Values.setup.resources | nindent 6 }}
    volumeMounts:
      {{- $mounts | nindent 6 }}
{{- end }}
containers:
  - name: {{ .name }}
    image: {{ include "headgate.image" (dict "root" $root "image" $values.image) }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    {{- with .command }}
    command: {{ toJson . }}
    {{- end }}
    env:
      {{- if and .connected .health }}
      - name: {{ .prefix }}INSTANCE
        valueFrom:
          fieldRef: {fieldPath: metadata.name}
      {{- end }}
      {{- include "headgate.env" (dict "prefix" .prefix "settings" .settings "env" $values.env) | trim | nindent 6 }}
    {{- include "headgate.confined" . | nindent 4 }}
    resources:
      {{- toYaml $values.resources | nindent 6 }}
    {{- if .health }}
    {{- include "headgate.probes" . | nindent 4 }}
    {{- end }}
    volumeMounts:
      {{- $mounts | nindent 6 }}
      {{- if .state }}
      - {name: state, mountPath: /var/lib/headgate}
      {{- end }}
      {{- with $values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  {{- include "headgate.volumes" . | nindent 2 }}
{{- end -}}

{{- define "headgate.placement" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .health }}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ $key }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "headgate.selectorLabels" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* A container's security context: the restricted standard, and a root file system nobody writes to. */}}
{{- define "headgate.confined" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- define "headgate.probes" -}}
{{- $port := ternary "http" "health" (eq 8080 (int .health.port)) -}}
ports:
  - {name: http, containerPort: 8080}
  {{- if eq $port "health" }}
  - {name: health, containerPort: {{ .health.port }}}
  {{- end }}
startupProbe:
  httpGet: {path: {{ .health.live }}, port: {{ $port }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: {{ div .values.startupSeconds 5 }}
livenessProbe:
  httpGet: {path: {{ .health.live }}, port: {{ $port }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: {{ .health.ready }}, port: {{ $port }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end -}}

{{- define "headgate.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if include "headgate.secretFiles" . | fromYamlArray }}
- {name: credentials, mountPath: /etc/headgate, readOnly: true}
{{- end }}
{{- range $folder, $_ := .root.Values.contracts }}
- {name: {{ include "headgate.contractsVolume" $folder }}, mountPath: /etc/headgate-contracts/{{ $folder }}, readOnly: true}
{{- end }}
{{- end -}}

{{- define "headgate.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: {{ .values.tmpSize }}}
{{- if .state }}
- name: state
  emptyDir: {sizeLimit: {{ .values.stateSize }}}
{{- end }}
{{- with include "headgate.secretFiles" . | fromYamlArray }}
- name: credentials
  projected:
    defaultMode: 0440
    sources:
      {{- range . }}
      - secret:
          name: {{ .secret }}
          items: [{key: {{ .key }}, path: {{ .path }}}]
      {{- end }}
{{- end }}
{{- range $folder, $configMap := .root.Values.contracts }}
- name: {{ include "headgate.contractsVolume" $folder }}
  configMap: {name: {{ $configMap }}}
{{- end }}
{{- with .values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "headgate.contractsVolume" -}}
contracts-{{ . | replace "/" "-" | replace "_" "-" }}
{{- end -}}
