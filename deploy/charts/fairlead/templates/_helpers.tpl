{{- define "fairlead.name" -}}
{{- if eq .Release.Name "fairlead" }}fairlead{{ else }}{{ .Release.Name | trunc 54 | trimSuffix "-" }}-fairlead{{ end -}}
{{- end -}}

{{- define "fairlead.image" -}}
{{- $repository := required "image.repository is not set: name the repository that you pushed the image to, such as registry.example.com/platform/fairlead" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "fairlead.selector" -}}
app.kubernetes.io/name: fairlead
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "fairlead.labels" -}}
{{ include "fairlead.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- /* The configuration file. */ -}}
{{- define "fairlead.config" -}}
{{- $url := index .Values.config "public-url" -}}
{{- if not $url -}}
{{- fail "config.public-url is not set: name the URLs that clients reach the registry by, such as [https://registry.example.com]" -}}
{{- end -}}
{{- $given := dict "data" "/var/lib/fairlead/data" "listen" (printf ":%d" (int .Values.port)) -}}
{{- if .Values.tls.existingSecret -}}
{{- $given = merge $given (dict "tls-cert" "/etc/fairlead/tls/tls.crt" "tls-key" "/etc/fairlead/tls/tls.key") -}}
{{- end -}}
{{- if .Values.operatorToken.existingSecret -}}
{{- $given = merge $given (dict "operator-token-file" "/etc/fairlead/operator/token") -}}
{{- end -}}
{{- toYaml (merge $given .Values.config) -}}
{{- end -}}
