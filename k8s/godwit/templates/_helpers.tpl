{{- define "godwit.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 26 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 26 characters: the names of a StatefulSet's pods and revisions have to fit into labels
     of 63, and into the cluster's own names (lib/roster). */}}
{{- define "godwit.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 26 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 26 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "godwit.name" .) | trunc 26 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of a list: root, component. */}}
{{- define "godwit.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "godwit.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "godwit.labels" -}}
{{- $root := index . 0 -}}
{{ include "godwit.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Of a list: root, program. */}}
{{- define "godwit.image" -}}
{{- $root := index . 0 -}}
{{- $image := $root.Values.image -}}
{{- with $image.registry }}{{ . }}/{{ end }}{{ $image.prefix }}-{{ index . 1 }}:{{ default $root.Chart.AppVersion $image.tag }}
{{- end -}}

{{- define "godwit.cluster" -}}
{{- default (include "godwit.fullname" .) .Values.cluster.name -}}
{{- end -}}

{{/* host:port to listen on. Of a list: root, port. */}}
{{- define "godwit.listen" -}}
{{- $root := index . 0 -}}
{{- if contains ":" $root.Values.listenAddress }}[{{ $root.Values.listenAddress }}]{{ else }}{{ $root.Values.listenAddress }}{{ end }}:{{ index . 1 }}
{{- end -}}

{{- define "godwit.storageNodes" -}}
{{- $count := 0 -}}
{{- range .Values.storageNode.zones }}{{ $count = add $count .replicas }}{{ end -}}
{{- if .Values.storageNode.zones }}{{ $count }}{{ else }}{{ .Values.storageNode.replicas }}{{ end -}}
{{- end -}}

{{/* ---- where the configuration store is: lines of an options file */}}
{{- define "godwit.etcdOptions" -}}
cluster = {{ include "godwit.cluster" . }}
{{- if .Values.etcd.enabled }}
{{- $etcd := printf "%s-etcd" (include "godwit.fullname" .) }}
{{- range until (int .Values.etcd.replicas) }}
etcd = http://{{ $etcd }}-{{ . }}.{{ $etcd }}:2379
{{- end }}
{{- else }}
{{- range .Values.etcd.external.endpoints }}
etcd = {{ . }}
{{- end }}
{{- if .Values.etcd.external.caSecret }}
etcd-ca = /etc/godwit/etcd-ca/ca.crt
{{- end }}
{{- if .Values.etcd.external.clientSecret }}
etcd-cert = /etc/godwit/etcd-client/tls.crt
etcd-key = /etc/godwit/etcd-client/tls.key
{{- end }}
{{- end }}
{{- end -}}

{{/* The Secret with a role's log-in to etcd, or nothing. Of a list: root, role as in values. */}}
{{- define "godwit.etcdUser" -}}
{{- $values := (index . 0).Values.etcd -}}
{{- if not $values.enabled }}{{ index $values.external.users (index . 1) }}{{ end -}}
{{- end -}}

{{/* Environment, volume mounts and volumes for that. Of a list: root, role. */}}
{{- define "godwit.etcdEnv" -}}
{{- with include "godwit.etcdUser" . }}
- name: GODWIT_ETCD_USER
  valueFrom: {secretKeyRef: {name: {{ . }}, key: username}}
- name: GODWIT_ETCD_PASSWORD_FILE
  value: /etc/godwit/etcd-user/password
{{- end }}
{{- end -}}

{{- define "godwit.etcdMounts" -}}
{{- $root := index . 0 -}}
{{- if not $root.Values.etcd.enabled }}
{{- if $root.Values.etcd.external.caSecret }}
- {name: etcd-ca, mountPath: /etc/godwit/etcd-ca, readOnly: true}
{{- end }}
{{- if $root.Values.etcd.external.clientSecret }}
- {name: etcd-client, mountPath: /etc/godwit/etcd-client, readOnly: true}
{{- end }}
{{- end }}
{{- if include "godwit.etcdUser" . }}
- {name: etcd-user, mountPath: /etc/godwit/etcd-user, readOnly: true}
{{- end }}
{{- end -}}

{{- define "godwit.etcdVolumes" -}}
{{- $root := index . 0 -}}
{{- if not $root.Values.etcd.enabled }}
{{- with $root.Values.etcd.external.caSecret }}
- name: etcd-ca
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with $root.Values.etcd.external.clientSecret }}
- name: etcd-client
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- with include "godwit.etcdUser" . }}
- name: etcd-user
  secret: {secretName: {{ . }}, defaultMode: 0440, items: [{key: password, path: password}]}
{{- end }}
{{- end -}}

{{/* ---- Secrets: those of values, or those that bootstrap makes */}}
{{- define "godwit.secretKek" -}}
{{- default (printf "%s-kek" (include "godwit.fullname" .)) .Values.secrets.kek -}}
{{- end -}}
{{- define "godwit.secretAuthority" -}}
{{- default (printf "%s-authority" (include "godwit.fullname" .)) .Values.secrets.authority -}}
{{- end -}}
{{- define "godwit.secretToken" -}}
{{- default (printf "%s-token" (include "godwit.fullname" .)) .Values.secrets.token -}}
{{- end -}}
{{- define "godwit.secretTls" -}}
{{- default (printf "%s-tls" (include "godwit.fullname" .)) .Values.secrets.tls -}}
{{- end -}}
{{- define "godwit.secretAdmin" -}}
{{- printf "%s-admin" (include "godwit.fullname" .) -}}
{{- end -}}
{{- define "godwit.certsFrontend" -}}
{{- default (printf "%s-certs-frontend" (include "godwit.fullname" .)) .Values.secrets.certificates.frontend -}}
{{- end -}}
{{- define "godwit.certsScanner" -}}
{{- default (printf "%s-certs-scanner" (include "godwit.fullname" .)) .Values.secrets.certificates.scanner -}}
{{- end -}}
{{- define "godwit.certsStorageNode" -}}
{{- default (printf "%s-certs-storage-node" (include "godwit.fullname" .)) .Values.secrets.certificates.storageNode -}}
{{- end -}}
{{- define "godwit.certsRouter" -}}
{{- default (printf "%s-certs-router" (include "godwit.fullname" .)) .Values.secrets.certificates.router -}}
{{- end -}}

{{/* ---- pods */}}
{{- define "godwit.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "godwit.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* What all pods say alike. Of a list: root, component, values of the component. */}}
{{- define "godwit.podCommon" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
enableServiceLinks: false
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
securityContext: {{- include "godwit.podSecurity" $root | nindent 2 }}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Apart from its like: on another machine if it can be, and evenly over zones. */}}
{{- define "godwit.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "godwit.selector" . | nindent 8 }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "godwit.selector" . | nindent 8 }}
{{- end -}}

{{/* Never two on one machine: a copy each. */}}
{{- define "godwit.apart" -}}
affinity:
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels: {{- include "godwit.selector" . | nindent 12 }}
{{- end -}}

{{- define "godwit.podName" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end -}}

{{/* Of a list: port, seconds that the start may take. */}}
{{- define "godwit.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: {{ index . 0 }}}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: {{ div (add (int (index . 1)) 1) 2 }}
livenessProbe:
  httpGet: {path: /healthz, port: {{ index . 0 }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: {{ index . 0 }}}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 2
{{- end -}}

{{- define "godwit.storage" -}}
accessModes: [ReadWriteOnce]
{{- with .storageClass }}
storageClassName: {{ . }}
{{- end }}
resources: {requests: {storage: {{ .size }}}}
{{- end -}}

{{/* Protocol: port within the pod, port for the world. */}}
{{- define "godwit.protocols" -}}
smtp: {inner: 2525, outer: 25}
submission: {inner: 2587, outer: 587}
smtps: {inner: 2465, outer: 465}
lmtp: {inner: 2424, outer: 24}
imap: {inner: 2143, outer: 143}
imaps: {inner: 2993, outer: 993}
pop3: {inner: 2110, outer: 110}
pop3s: {inner: 2995, outer: 995}
https: {inner: 8443, outer: 443}
{{- end -}}

{{/* What schema rows can't say. */}}
{{- define "godwit.check" -}}
{{- $nodes := int (include "godwit.storageNodes" .) -}}
{{- if gt (int .Values.cluster.copies) $nodes -}}
{{- fail (printf "cluster.copies: %d copies need as many storage nodes, and there are %d (storageNode)" (int .Values.cluster.copies) $nodes) -}}
{{- end -}}
{{- if gt (int .Values.cluster.minIsr) (int .Values.cluster.copies) -}}
{{- fail (printf "cluster.minIsr: %d is more than cluster.copies, %d" (int .Values.cluster.minIsr) (int .Values.cluster.copies)) -}}
{{- end -}}
{{- $names := dict -}}
{{- range .Values.storageNode.zones -}}
{{- if hasKey $names .name }}{{ fail (printf "storageNode.zones: two are called %s" .name) }}{{ end -}}
{{- $_ := set $names .name true -}}
{{- end -}}
{{- if and (not .Values.bootstrap.enabled) .Values.setup.enabled .Values.setup.domain .Values.setup.admin -}}
{{- fail "setup.admin: its Secret is made by bootstrap, which is not enabled; set setup.admin to \"\"" -}}
{{- end -}}
{{- range $scaled := list "frontend" "scanner" -}}
{{- $auto := (index $.Values $scaled).autoscaling -}}
{{- if and $auto.enabled (gt (int $auto.minReplicas) (int $auto.maxReplicas)) -}}
{{- fail (printf "%s.autoscaling: minReplicas %d is more than maxReplicas %d" $scaled (int $auto.minReplicas) (int $auto.maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- if ge (add (int .Values.frontend.drainNoticeSeconds) 15) (int .Values.frontend.terminationGracePeriodSeconds) -}}
{{- fail (printf "frontend.terminationGracePeriodSeconds: %d is too short for drainNoticeSeconds, %d, and 15 s for the sessions" (int .Values.frontend.terminationGracePeriodSeconds) (int .Values.frontend.drainNoticeSeconds)) -}}
{{- end -}}
{{- end -}}
