{{- define "firstsight.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "firstsight.fullname" -}}
{{- $name := include "firstsight.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "firstsight.labels" -}}
app.kubernetes.io/name: {{ include "firstsight.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* Of the serving pods alone: a publishing Job and a test are not behind the Service. */ -}}
{{- define "firstsight.selector" -}}
app.kubernetes.io/name: {{ include "firstsight.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: service
{{- end }}

{{- define "firstsight.image" -}}
{{- $repository := required "image.repository: where you pushed the image (docs/deploy.md)" .Values.image.repository }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "firstsight.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "firstsight.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "firstsight.secret" -}}
{{- default (include "firstsight.fullname" .) .Values.secret.name }}
{{- end }}

{{- /* Where the token is; with a file of keys there need be none. */ -}}
{{- define "firstsight.token" -}}
secretKeyRef:
  name: {{ include "firstsight.secret" . }}
  key: {{ .Values.secret.adminTokenKey }}
  {{- if .Values.keys.secret }}
  optional: true
  {{- end }}
{{- end }}

{{- /* What is alike in all pods: who runs, and what it is not told. */ -}}
{{- define "firstsight.pod" -}}
# Else Kubernetes sets FIRSTSIGHT_* for a Service of this name, and any other for its own.
enableServiceLinks: false
automountServiceAccountToken: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "firstsight.confined" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- /* The container that fetches bundles into the volume `fetched`, at .folder. */ -}}
{{- define "firstsight.fetch" -}}
{{- $fetch := .root.Values.bundles.fetch -}}
- name: fetch
  image: {{ $fetch.image }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command:
    {{- toYaml $fetch.command | nindent 4 }}
  env:
    - {name: VERSIONS, value: {{ join " " $fetch.versions | quote }}}
    - {name: FOLDER, value: {{ .folder }}}
    - {name: HOME, value: /tmp}
    {{- with $fetch.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $fetch.envFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- include "firstsight.confined" . | nindent 2 }}
  resources:
    requests: {cpu: 100m, memory: 128Mi}
    limits: {memory: 512Mi}
  volumeMounts:
    - {name: fetched, mountPath: {{ .folder }}}
    - {name: tmp, mountPath: /tmp}
{{- end }}
