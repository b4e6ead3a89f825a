{{/* Secrets are files below /etc/headgate, never variables: YAML lists of {setting, secret, key, path}. */}}

{{- define "headgate.kafkaFiles" -}}
{{- $kafka := .Values.kafka -}}
{{- $wanted := dict -}}
{{- if ne $kafka.security "plaintext" }}{{ $_ := set $wanted "CA_FILE" $kafka.secretKeys.ca }}{{ end -}}
{{- if eq $kafka.security "tls" }}
{{- $_ := set $wanted "CERTIFICATE_FILE" $kafka.secretKeys.certificate }}
{{- $_ := set $wanted "KEY_FILE" $kafka.secretKeys.key }}
{{- end -}}
{{- if eq $kafka.security "scram" }}{{ $_ := set $wanted "PASSWORD_FILE" $kafka.secretKeys.password }}{{ end -}}
{{ include "headgate.filesOf" (dict "secret" $kafka.existingSecret "wanted" $wanted "folder" "kafka") }}
{{- end -}}

{{- define "headgate.registryFiles" -}}
{{- $registry := .Values.registry -}}
{{- $wanted := dict "CA_FILE" $registry.secretKeys.ca -}}
{{- if $registry.username }}{{ $_ := set $wanted "PASSWORD_FILE" $registry.secretKeys.password }}{{ end -}}
{{ include "headgate.filesOf" (dict "secret" $registry.existingSecret "wanted" $wanted "folder" "registry") }}
{{- end -}}

{{- define "headgate.tokenFiles" -}}
{{- $token := .Values.http.controlToken -}}
{{ include "headgate.filesOf" (dict "secret" $token.existingSecret "wanted" (dict "CONTROL_TOKEN_FILE" $token.key) "folder" "http") }}
{{- end -}}

{{/* (secret, wanted: keys by setting, folder) */}}
{{- define "headgate.filesOf" -}}
{{- $found := list -}}
{{- if .secret -}}
{{- range $setting, $key := .wanted -}}
{{- if $key -}}
{{- $path := printf "%s/%s" $.folder ($setting | lower | replace "_" "-" | trimSuffix "-file") -}}
{{- $found = append $found (dict "setting" $setting "secret" $.secret "key" $key "path" $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ toYaml $found }}
{{- end -}}

{{/* All files of a pod. (root, name, connected, http, secrets) */}}
{{- define "headgate.secretFiles" -}}
{{- $files := .secrets | default list -}}
{{- if .connected -}}
{{- $files = concat $files (include "headgate.kafkaFiles" .root | fromYamlArray) (include "headgate.registryFiles" .root | fromYamlArray) -}}
{{- end -}}
{{- if .http -}}
{{- $files = concat $files (include "headgate.tokenFiles" .root | fromYamlArray) -}}
{{- end -}}
{{ toYaml $files | replace "{service}" .name }}
{{- end -}}
