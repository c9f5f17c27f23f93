{{/* Rules of network policies. */}}

{{/* Of a list: root, components. */}}
{{- define "godwit.peers" }}
{{- $root := index . 0 }}
{{- range index . 1 }}
- podSelector:
    matchLabels: {{- include "godwit.selector" (list $root .) | nindent 6 }}
{{- end }}
{{- end }}

{{- define "godwit.egressDns" }}
- ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
{{- end }}

{{- define "godwit.egressEtcd" }}
{{- if .Values.etcd.enabled }}
- to: {{- include "godwit.peers" (list . (list "etcd")) | nindent 4 }}
  ports: [{port: 2379}]
{{- else }}
- ports:
    {{- range .Values.etcd.external.endpoints }}
    - port: {{ regexFind "[0-9]+/?$" . | trimSuffix "/" }}
    {{- end }}
{{- end }}
{{- end }}

{{- define "godwit.fromMonitoring" }}
- from:
    {{- if .Values.networkPolicy.monitoringNamespaceLabels }}
    - namespaceSelector:
        matchLabels: {{- toYaml .Values.networkPolicy.monitoringNamespaceLabels | nindent 10 }}
    {{- else }}
    - namespaceSelector: {}
    {{- end }}
{{- end }}
