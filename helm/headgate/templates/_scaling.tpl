{{/* KEDA scales on the group's lag; more replicas than partitions would have nothing to do. (root, name, kind, values) */}}
{{- define "headgate.scaledObject" -}}
{{- $scaling := .values.autoscaling -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  {{- include "headgate.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: {{ .kind }}
    name: {{ include "headgate.fullname" .root }}-{{ .name }}
  minReplicaCount: {{ $scaling.minReplicas }}
  maxReplicaCount: {{ $scaling.partitions }}
  pollingInterval: 15
  cooldownPeriod: 300
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleDown:
          stabilizationWindowSeconds: 300
          policies:
            - {type: Pods, value: 1, periodSeconds: 60}
  triggers:
    - type: {{ $scaling.trigger }}
      metadata:
        bootstrapServers: {{ .root.Values.kafka.bootstrapServers | quote }}
        consumerGroup: {{ $scaling.consumerGroup }}
        topic: {{ $scaling.topic }}
        lagThreshold: {{ $scaling.lagThreshold | quote }}
        {{- if eq .root.Values.kafka.security "iam" }}
        awsRegion: {{ .root.Values.global.aws.region }}
        {{- end }}
        {{- with $scaling.metadata }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $scaling.authentication }}
      authenticationRef: {name: {{ . }}}
      {{- end }}
{{- end -}}
