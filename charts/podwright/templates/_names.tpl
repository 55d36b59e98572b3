{{/* Prefix of the names of objects. */}}
{{- define "podwright.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Namespace of the objects. */}}
{{- define "podwright.namespace" -}}
{{- default .Release.Namespace .Values.namespace.name -}}
{{- end -}}

{{/* Labels that select: of a release and one of its parts. Call with (list $ "part"). */}}
{{- define "podwright.selector" -}}
{{- $top := index . 0 -}}
app.kubernetes.io/name: {{ default $top.Chart.Name $top.Values.nameOverride }}
app.kubernetes.io/instance: {{ $top.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* All labels of an object of a part. Call with (list $ "part"). */}}
{{- define "podwright.labels" -}}
{{- $top := index . 0 -}}
{{ include "podwright.selector" . }}
app.kubernetes.io/version: {{ $top.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $top.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $top.Chart.Name $top.Chart.Version | replace "+" "_" }}
{{- with $top.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Reference of the installer image. */}}
{{- define "podwright.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What every container of ours has: the image, and where the API server is when pods cannot reach its Service. */}}
{{- define "podwright.container" -}}
image: {{ include "podwright.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
{{- end -}}

{{- define "podwright.apiServer" -}}
{{- with .Values.apiServer.host }}
- name: KUBERNETES_SERVICE_HOST
  value: {{ . | quote }}
- name: KUBERNETES_SERVICE_PORT
  value: {{ default 443 $.Values.apiServer.port | int | quote }}
{{- end }}
{{- end -}}

{{/* What a container without rights has. */}}
{{- define "podwright.unprivileged" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* The label of nodes whose kubelet uses podwright: a RuntimeClass's handler is known only there. */}}
{{- define "podwright.nodeLabel" -}}
podwright.io/runtime: podwright
{{- end -}}

{{/* A directory of the host by one name. */}}
{{- define "podwright.directory" -}}
{{- regexReplaceAll "^/var/run(/|$)" (clean .) "/run$1" -}}
{{- end -}}

{{/* Socket on the host on which podwrightd serves metrics. */}}
{{- define "podwright.metricsSocket" -}}
{{- dig "metrics" "socket" "" .Values.config | default "/run/podwright-metrics/metrics.sock" -}}
{{- end -}}

{{/*
Its directory, which a pod that the network can reach has: nothing else of podwright lies there, neither beside nor below,
and it is in no directory of podwright's own but the one of the default.
*/}}
{{- define "podwright.metricsDirectory" -}}
{{- $directory := include "podwright.directory" (include "podwright.metricsSocket" . | dir) -}}
{{- $state := dig "state" "/run/podwright" .Values.config -}}
{{- $own := dict "config.state" $state "config.root" (dig "root" "/var/lib/podwright" .Values.config) -}}
{{- $_ := set $own "host.prefix" .Values.host.prefix -}}
{{- $_ := set $own "host.configDir" .Values.host.configDir -}}
{{- $_ := set $own "host.journalDir" .Values.host.journalDir -}}
{{- $others := dict "config.nri.socket" (dig "nri" "socket" "/var/run/nri/nri.sock" .Values.config | dir) -}}
{{- $_ := set $others "config.socket" (dig "socket" "" .Values.config | default (printf "%s/podwright.sock" $state) | dir) -}}
{{- range $name, $other := merge $others $own -}}
{{- $other = include "podwright.directory" $other -}}
{{- if or (eq $directory "/") (hasPrefix (printf "%s/" $directory) (printf "%s/" $other)) -}}
{{- fail (printf "config.metrics.socket is in %s, which a pod mounts that the network can reach, and %s lies there: give it a directory of its own, such as /run/podwright-metrics" $directory $name) -}}
{{- end -}}
{{- if and (hasKey $own $name) (hasPrefix (printf "%s/" $other) $directory) (ne $directory (include "podwright.directory" (printf "%s/metrics" $state))) -}}
{{- fail (printf "config.metrics.socket is in %s, which a pod mounts that the network can reach, and that is in podwright's own %s (%s): give it a directory of its own, such as /run/podwright-metrics" $directory $other $name) -}}
{{- end -}}
{{- end -}}
{{- $directory -}}
{{- end -}}

{{/* Command line of the installer. */}}
{{- define "podwright.installerArgs" -}}
{{- $flags := dict "timeout" (.Values.kubelet.timeoutSeconds | int) }}
{{- with .Values.daemon }}
{{- if and (eq .supervisor "command") (or (not .stopCommand) (not .startCommand)) }}
{{- fail "daemon.supervisor \"command\" needs daemon.stopCommand and daemon.startCommand" }}
{{- end }}
{{- $flags = merge $flags (dict "daemon" .supervisor "daemon-stop" .stopCommand "daemon-start" .startCommand) }}
{{- end }}
{{- if .Values.kubelet.switch }}
{{- with .Values.kubelet }}
{{- if and (eq .restart "command") (or (not .stopCommand) (not .startCommand)) }}
{{- fail "kubelet.restart \"command\" needs kubelet.stopCommand and kubelet.startCommand" }}
{{- end }}
{{- $flags = merge $flags (dict "kubelet-restart" .restart "kubelet-config" .config "kubelet-env" .env "kubelet-drop-in" .dropIn "from-endpoint" .fromEndpoint "kubeconfig" .kubeconfig "grace" (.graceSeconds | int)) }}
{{- if eq .restart "systemd" }}
{{- $_ := set $flags "kubelet-unit" .unit }}
{{- else }}
{{- $flags = merge $flags (dict "kubelet-stop" .stopCommand "kubelet-start" .startCommand) }}
{{- end }}
{{- end }}
{{- end -}}
- installer
- run
- --lease={{ include "podwright.namespace" . }}/{{ include "podwright.name" . }}-turn
- --prefix={{ .Values.host.prefix }}
- --config-dir={{ .Values.host.configDir }}
- --journal-dir={{ .Values.host.journalDir }}
- --link-dir={{ .Values.host.linkDir }}
{{- with .Values.host.process }}
- --host-process={{ . }}
{{- end }}
{{- if .Values.metrics.enabled }}
- --metrics-dir={{ include "podwright.metricsDirectory" . }}
{{- end }}
{{- if .Values.kubelet.switch }}
- --switch
{{- end }}
{{- if .Values.uninstall.purge }}
- --purge
{{- end }}
{{- range $name, $value := $flags }}
{{- if $value }}
- {{ printf "--%s=%v" $name $value | replace "$" "$$" | quote }}{{/* $(X) is not for Kubernetes */}}
{{- end }}
{{- end }}
{{- end -}}

{{/* Command line of the metrics relay. */}}
{{- define "podwright.relayArgs" -}}
- metrics-relay
- --metrics-socket=/host/metrics/{{ include "podwright.metricsSocket" . | base }}
- --listen=:{{ .Values.metrics.port | int }}
{{- if .Values.metrics.tls.secretName }}
- --cert-file=/tls/tls.crt
- --key-file=/tls/tls.key
{{- else }}
- --host={{ include "podwright.name" . }}-metrics.{{ include "podwright.namespace" . }}.svc
{{- end }}
{{- end -}}
