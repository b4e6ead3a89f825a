{{/* What may reach a pod, and what it may reach. (root, name, ingress, egress, values) */}}
{{- define "headgate.networkPolicy" -}}
{{- $policy := .root.Values.networkPolicy -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "headgate.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "headgate.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    {{- range $peers := .ingress }}
    {{- with index $policy.ingress $peers }}
    - from:
        {{- toYaml . | nindent 8 }}
      ports: [{protocol: TCP, port: 8080}]
    {{- end }}
    {{- end }}
    {{- range .from }}
    - from:
        - podSelector:
            matchLabels:
              {{- include "headgate.selectorLabels" (dict "root" $.root "name" .) | nindent 14 }}
      ports: [{protocol: TCP, port: 8080}]
    {{- end }}
  egress:
    {{- toYaml $policy.egress.dns | nindent 4 }}
    {{- range .egress }}
    {{- with include "headgate.egressTo" (dict "root" $.root "edge" .) }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- end }}
    {{- with .values.extraEgress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* The rules of one edge: to what the release runs itself where it does, else as the values say; none where it is not used. (root, edge) */}}
{{- define "headgate.egressTo" -}}
{{- $values := .root.Values -}}
{{- $own := dict "producer" "producer" -}}
{{- if $values.registry.bundled.enabled }}{{ $_ := set $own "registry" "registry" }}{{ end -}}
{{- if $values.bedrockLocal.enabled }}{{ $_ := set $own "model" "bedrock-local" }}{{ end -}}
{{- $unused := dict "tracing" (empty $values.tracing.endpoint) "oidc" (empty $values.http.oidc.issuer) -}}
{{- if hasKey $own .edge -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "headgate.selectorLabels" (dict "root" .root "name" (index $own .edge)) | nindent 10 }}
  ports: [{protocol: TCP, port: 8080}]
{{- else if not (index $unused .edge) -}}
{{- with index $values.networkPolicy.egress .edge -}}
{{ toYaml . }}
{{- end -}}
{{- end -}}
{{- end -}}
