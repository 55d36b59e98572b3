{{/* A value of values.config as TOML: whole numbers come from YAML as floats, fractions stay, and tables are inline. */}}
{{- define "podwright.toml" -}}
{{- if kindIs "map" . -}}
{ {{ range $at, $key := keys . | sortAlpha }}{{ if $at }}, {{ end }}{{ $key | quote }} = {{ include "podwright.toml" (get $ $key) }}{{ end }} }
{{- else if kindIs "slice" . -}}
[{{ range $at, $one := . }}{{ if $at }}, {{ end }}{{ include "podwright.toml" $one }}{{ end }}]
{{- else if kindIs "string" . -}}
{{ . | toJson }}
{{- else if kindIs "bool" . -}}
{{ . }}
{{- else if eq (float64 .) (float64 (int64 .)) -}}
{{ int64 . }}
{{- else -}}
{{ toJson . }}
{{- end -}}
{{- end -}}

{{/* values.config as a TOML file: keys without a section at the head, then the sections. */}}
{{- define "podwright.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if and .Values.metrics.enabled (not (dig "metrics" "socket" "" $config)) }}
{{- $_ := set $config "metrics" (merge (dict "socket" (include "podwright.metricsSocket" .)) (default dict $config.metrics)) }}
{{- end -}}
# From the values of the Helm release {{ .Release.Namespace }}/{{ .Release.Name }}.
{{- range $key, $value := $config }}
{{- if or (not (kindIs "map" $value)) (eq $key "runtimes") }}
{{ $key }} = {{ include "podwright.toml" $value }}
{{- end }}
{{- end }}
{{- range $section, $values := $config }}
{{- if and (kindIs "map" $values) (ne $section "runtimes") }}

[{{ $section }}]
{{- range $key, $value := $values }}
{{ $key }} = {{ include "podwright.toml" $value }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
