{{/* Lines "KEY VALUE". */}}

{{- define "godwit.settings" }}
{{- range $key, $value := . }}
{{ $key }} {{ $value }}
{{- end }}
{{- end }}
