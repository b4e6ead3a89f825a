{{/* Settings without their prefix, as YAML maps; what is a secret is a file of the volume credentials. */}}

{{/* Brokers and registry, as a service (name) reaches them. (root, name) */}}
{{- define "headgate.connections" -}}
{{- $values := .root.Values -}}
{{- $kafka := $values.kafka -}}
KAFKA__BOOTSTRAP_SERVERS: {{ required "kafka.bootstrapServers is empty: name the brokers, such as kafka:9092" $kafka.bootstrapServers | quote }}
{{- if ne $kafka.security "plaintext" }}
KAFKA__SECURITY: {{ $kafka.security }}
{{- end }}
{{- if eq $kafka.security "iam" }}
KAFKA__REGION: {{ required "kafka.security is iam, and global.aws.region is empty: name the cluster's region" $values.global.aws.region | quote }}
{{- end }}
{{- if eq $kafka.security "scram" }}
KAFKA__USERNAME: {{ required "kafka.security is scram, and kafka.username is empty" $kafka.username | replace "{service}" .name | quote }}
{{- end }}
{{- range include "headgate.kafkaFiles" .root | fromYamlArray }}
KAFKA__{{ .setting }}: /etc/headgate/{{ .path }}
{{- end }}
{{- with $kafka.properties }}
KAFKA__PROPERTIES: {{ toJson . | quote }}
{{- end }}
REGISTRY__URL: {{ include "headgate.registryUrl" .root | quote }}
{{- with $values.registry.username }}
REGISTRY__USERNAME: {{ replace "{service}" $.name . | quote }}
{{- end }}
{{- range include "headgate.registryFiles" .root | fromYamlArray }}
REGISTRY__{{ .setting }}: /etc/headgate/{{ .path }}
{{- end }}
{{- if $values.contracts }}
CONTRACTS_DIR: /etc/headgate-contracts
{{- end }}
{{- end -}}

{{- define "headgate.registryUrl" -}}
{{- if .Values.registry.bundled.enabled -}}
http://{{ include "headgate.fullname" . }}-registry:8080/apis/ccompat/v7
{{- else -}}
{{ required "registry.url is empty: name a registry with the Confluent API, or set registry.bundled.enabled" .Values.registry.url }}
{{- end -}}
{{- end -}}

{{/* What every service on the runtime has beside its connections. (root, name, values) */}}
{{- define "headgate.runtime" -}}
{{- $values := .root.Values -}}
HTTP__HOST: 0.0.0.0
HTTP__PORT: "8080"
LOG_LEVEL: {{ $values.logLevel }}
DRAIN_TIMEOUT_S: {{ .values.drainTimeoutSeconds | quote }}
{{- range include "headgate.tokenFiles" .root | fromYamlArray }}
HTTP__{{ .setting }}: /etc/headgate/{{ .path }}
{{- end }}
{{- with $values.http.oidc }}
{{- if .issuer }}
HTTP__OIDC__ISSUER: {{ .issuer | quote }}
HTTP__OIDC__AUDIENCE: {{ required "http.oidc.issuer is set, and http.oidc.audience is empty" .audience | quote }}
HTTP__OIDC__ROLES_CLAIM: {{ .rolesClaim | quote }}
{{- with .jwksUrl }}
HTTP__OIDC__JWKS_URL: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- with $values.tracing.endpoint }}
TRACING__ENDPOINT: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* The catalog: its properties, or a Secret that holds all of them. */}}
{{- define "headgate.catalog" -}}
{{- with .Values.catalogSecret.existingSecret }}
CATALOG:
  secretKeyRef: {name: {{ . }}, key: {{ $.Values.catalogSecret.key }}}
{{- else }}
{{- if not .Values.catalog }}{{ fail "catalog is empty: give the properties of docs/catalogs.md, or catalogSecret.existingSecret" }}{{ end }}
CATALOG: {{ toJson .Values.catalog | quote }}
{{- end }}
{{- end -}}

{{/* A container's env: settings with their prefix, then variables as they are. (prefix, settings, env) */}}
{{- define "headgate.env" -}}
{{- $all := dict -}}
{{- range $name, $value := .settings }}{{ $_ := set $all (print $.prefix $name) $value }}{{ end -}}
{{- range $name, $value := mergeOverwrite $all (.env | default dict) }}
- name: {{ $name }}
  {{- if kindIs "map" $value }}
  valueFrom:
    {{- toYaml $value | nindent 4 }}
  {{- else }}
  value: {{ $value | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "headgate.prefix" -}}
HEADGATE_{{ .name | upper | replace "-" "_" }}_
{{- end -}}
