{{/* Of a list: root, labels of Secrets, names of those that are given, names in the TLS
     certificate, whether there is an administrator. */}}

{{- define "godwit.bootstrapPod" }}
{{- $root := index . 0 }}
{{- $fullname := include "godwit.fullname" $root }}
{{- include "godwit.podCommon" (list $root "bootstrap" dict) }}
serviceAccountName: {{ $fullname }}-bootstrap
automountServiceAccountToken: true
restartPolicy: OnFailure
containers:
  - name: bootstrap
    image: {{ include "godwit.image" (list $root "ctl") }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    command: [/bin/sh, /etc/godwit/scripts/bootstrap.sh]
    env:
      - {name: KUBE_API, value: "https://kubernetes.default.svc"}
      - {name: KUBE_ACCOUNT, value: /var/run/secrets/kubernetes.io/serviceaccount}
      - name: NAMESPACE
        valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
      - {name: LABELS, value: {{ index . 1 | toJson | quote }}}
      - {name: WORK, value: /scratch/bootstrap}
      - {name: OPTIONS, value: /etc/godwit/options/bootstrap.conf}
      - {name: SECRET_AUTHORITY, value: {{ include "godwit.secretAuthority" $root }}}
      - {name: SECRET_KEK, value: {{ include "godwit.secretKek" $root }}}
      - {name: SECRET_TOKEN, value: {{ include "godwit.secretToken" $root }}}
      - {name: SECRET_TLS, value: {{ include "godwit.secretTls" $root }}}
      - {name: SECRET_ADMIN, value: {{ ternary (include "godwit.secretAdmin" $root) "" (index . 4) | quote }}}
      - {name: CERTS_FRONTEND, value: {{ include "godwit.certsFrontend" $root }}}
      - {name: CERTS_SCANNER, value: {{ include "godwit.certsScanner" $root }}}
      - {name: CERTS_STORAGE_NODE, value: {{ include "godwit.certsStorageNode" $root }}}
      - {name: CERTS_ROUTER, value: {{ include "godwit.certsRouter" $root }}}
      - {name: FIXED, value: {{ join " " (index . 2) | quote }}}
      - {name: TLS_NAMES, value: {{ join " " (index . 3) | quote }}}
      - {name: CERTIFICATE_DAYS, value: {{ $root.Values.bootstrap.certificateDays | quote }}}
      {{- include "godwit.etcdEnv" (list $root "bootstrap") | nindent 6 }}
    securityContext: {{- include "godwit.containerSecurity" $root | nindent 6 }}
    resources: {{- toYaml $root.Values.bootstrap.resources | nindent 6 }}
    volumeMounts:
      - {name: scripts, mountPath: /etc/godwit/scripts, readOnly: true}
      - {name: options, mountPath: /etc/godwit/options, readOnly: true}
      - {name: work, mountPath: /scratch}
      {{- include "godwit.etcdMounts" (list $root "bootstrap") | nindent 6 }}
volumes:
  - name: scripts
    configMap: {name: {{ $fullname }}-bootstrap}
  - name: options
    configMap: {name: {{ $fullname }}-options, items: [{key: bootstrap.conf, path: bootstrap.conf}]}
  # Keys are in it while it runs: in memory.
  - name: work
    emptyDir: {medium: Memory, sizeLimit: 16Mi}
  {{- include "godwit.etcdVolumes" (list $root "bootstrap") | nindent 2 }}
{{- end }}
