{{- define "patriot.labels" -}}
app.kubernetes.io/part-of: patriot
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "patriot.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- /* What discovery found: functions and hosts of feeds. */ -}}
{{- define "patriot.parts" -}}
{{ .Files.Get "files/parts.yaml" }}
{{- end }}

{{- /* A misspelt name would be left out without a word: every part has its default. */ -}}
{{- define "patriot.refuseUnknown" -}}
{{- $parts := include "patriot.parts" . | fromYaml -}}
{{- $functions := list -}}{{- range $parts.functions }}{{ $functions = append $functions .name }}{{ end -}}
{{- $hosts := list "stream" -}}{{- range $parts.hosts }}{{ $hosts = append $hosts .name }}{{ end -}}
{{- include "patriot.refuseOthers" (list "functions.overrides" .Values.functions.overrides $functions) -}}
{{- include "patriot.refuseOthers" (list "feeds.overrides" .Values.feeds.overrides $hosts) -}}
{{- include "patriot.refuseOthers" (list "feeds.autoscale" .Values.feeds.autoscale $hosts) -}}
{{- include "patriot.refuseOthers" (list "settings" .Values.settings $parts.settings) -}}
{{- end }}

{{- /* Takes list where, what was given, which names there are. */ -}}
{{- define "patriot.refuseOthers" -}}
{{- range $name, $_ := index . 1 -}}
{{- if not (has $name (index $ 2)) -}}
{{- fail (printf "%s.%s: there is none of this name; there are: %s" (index $ 0) $name (index $ 2 | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* Group 0 reads the mounted secrets; it owns nothing else. */ -}}
{{- define "patriot.containerSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 0
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "patriot.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 0
fsGroup: 0
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- /* An image of another version refuses to start, the migration job first: nothing has changed by then. */ -}}
{{- define "patriot.chartVersion" -}}
- {name: PATRIOT_CHART_VERSION, value: {{ .Chart.AppVersion | quote }}}
{{- end }}

{{- define "patriot.restarted" -}}
patriot/restarted-at: {{ .Values.restartedAt | toString | quote }}
{{- end }}

{{- define "patriot.env" -}}
{{ include "patriot.chartVersion" . }}
{{- range $name, $value := .Values.settings }}
- {name: PATRIOT_{{ upper $name }}, value: {{ $value | toString | quote }}}
{{- end }}
- {name: PATRIOT_DATA_DIR, value: /var/lib/patriot}
{{- if not (hasKey .Values.settings "processes") }}
- {name: PATRIOT_PROCESSES, value: {{ include "patriot.processes" . | quote }}}
{{- end }}
- name: PATRIOT_DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ .Values.secrets.database }}, key: url}}
- name: APP_API_TOKEN
  valueFrom: {secretKeyRef: {name: {{ .Values.secrets.daprToken }}, key: token}}
- name: DAPR_API_TOKEN
  valueFrom: {secretKeyRef: {name: {{ .Values.secrets.daprToken }}, key: token}}
{{- end }}

{{- define "patriot.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: data, mountPath: /var/lib/patriot}
- {name: keys, mountPath: /var/lib/patriot/keys.json, subPath: keys.json, readOnly: true}
{{- end }}

{{- define "patriot.volumes" -}}
- {name: tmp, emptyDir: {medium: Memory, sizeLimit: 64Mi}}
- {name: keys, secret: {secretName: {{ .Values.secrets.keys }}, defaultMode: 0440}}
{{- end }}

{{- /* Takes dict "root", "app" (the app id), "port". */ -}}
{{- define "patriot.dapr" -}}
{{- with .root.Values }}
dapr.io/enabled: "true"
dapr.io/app-id: {{ $.app }}
{{- /* Without an app's port a sidecar subscribes to nothing: a colour that sleeps takes no events. */}}
{{- if .active }}
dapr.io/app-port: {{ $.port | quote }}
{{- end }}
dapr.io/app-protocol: http
dapr.io/app-max-concurrency: "128"
dapr.io/config: patriot
dapr.io/app-token-secret: {{ .secrets.daprToken }}
dapr.io/api-token-secret: {{ .secrets.daprToken }}
dapr.io/log-as-json: "true"
dapr.io/log-level: {{ .dapr.logLevel }}
dapr.io/enable-metrics: "true"
dapr.io/metrics-port: {{ .dapr.metricsPort | quote }}
dapr.io/disable-builtin-k8s-secret-store: "true"
dapr.io/graceful-shutdown-seconds: "20"
dapr.io/block-shutdown-duration: 5s
dapr.io/sidecar-cpu-request: {{ .dapr.sidecar.requests.cpu }}
dapr.io/sidecar-memory-request: {{ .dapr.sidecar.requests.memory }}
dapr.io/sidecar-memory-limit: {{ .dapr.sidecar.limits.memory }}
dapr.io/sidecar-seccomp-profile-type: RuntimeDefault
{{- end }}
{{- end }}

{{- /* Takes dict "root", "host", "shard". Without shards a host is found by its first feed's name. */ -}}
{{- define "patriot.hostId" -}}
{{- $shards := int (get .root.Values.feeds.shards .host.name | default 1) -}}
{{ first .host.feeds }}{{ if gt $shards 1 }}-{{ .shard }}{{ end }}
{{- end }}

{{- /* How many processes share the database at most: each checks at its start that there are connections for all.
       Rounded up, so that a change of one part's range does not start every part anew. */ -}}
{{- define "patriot.processes" -}}
{{- $parts := include "patriot.parts" . | fromYaml -}}
{{- $count := 0 -}}
{{- range $parts.functions -}}
{{- $is := get $.Values.functions.overrides .name | default dict -}}
{{- $count = add $count ($is.most | default (include "patriot.most" (dict "root" $ "part" .) | int)) -}}
{{- end -}}
{{- range $parts.hosts -}}
{{- $is := get $.Values.feeds.overrides .name | default dict -}}
{{- $replicas := .journal | ternary 1 ($is.replicas | default $.Values.feeds.replicas) -}}
{{- $elastic := get $.Values.feeds.autoscale .name | default dict -}}
{{- $count = add $count ($elastic.most | default (mul (get $.Values.feeds.shards .name | default 1) $replicas)) -}}
{{- end -}}
{{ mul (div (add $count 24) 25) 25 }}
{{- end }}

{{- define "patriot.most" -}}
{{ eq .root.Values.scale "small" | ternary 2 .part.replicas.most }}
{{- end }}
