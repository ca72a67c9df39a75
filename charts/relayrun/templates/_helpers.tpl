{{- define "relayrun.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "relayrun.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "relayrun.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "relayrun.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "relayrun.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ include "relayrun.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The release that a thing of the whole cluster belongs to, if it is another one: (dict "root" . "api" "…" "kind" "…"
"name" "…"). Empty: it is this release's, nobody's yet, or there is no cluster to ask (helm template). */}}
{{- define "relayrun.otherOwner" -}}
{{- with lookup .api .kind "" .name -}}
{{- $annotations := .metadata.annotations | default dict -}}
{{- $name := index $annotations "meta.helm.sh/release-name" | default "" -}}
{{- $namespace := index $annotations "meta.helm.sh/release-namespace" | default "" -}}
{{- if not $name -}}
nobody
{{- else if or (ne $name $.root.Release.Name) (ne $namespace $.root.Release.Namespace) -}}
{{ $namespace }}/{{ $name }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Refuses a second release in a namespace: both operators would serve the same Agents. */}}
{{- define "relayrun.onlyRelease" -}}
{{- range (lookup "apps/v1" "Deployment" .Release.Namespace "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- $other := index $labels "app.kubernetes.io/instance" | default "" -}}
{{- if and (hasPrefix "relayrun-" (index $labels "helm.sh/chart" | default "")) (eq (index $labels "app.kubernetes.io/component" | default "") "operator") (ne $other $.Release.Name) -}}
{{- fail (printf "Release %s serves the namespace %s already: upgrade that one, or install this one in another namespace." $other $.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* metadata of an object: (dict "root" . "name" "…" "part" "api" "annotations" {} "labels" {} "namespace" "…") */}}
{{- define "relayrun.metadata" -}}
{{- $annotations := merge (dict) (.annotations | default dict) (.root.Values.commonAnnotations | default dict) -}}
name: {{ .name }}
{{- if not .clusterScoped }}
namespace: {{ .namespace | default .root.Release.Namespace }}
{{- end }}
labels:
  {{- include "relayrun.labels" .root | nindent 2 }}
  {{- with .part }}
  app.kubernetes.io/component: {{ . }}
  {{- end }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* (dict "root" . "part" "api") */}}
{{- define "relayrun.selector" -}}
app.kubernetes.io/name: {{ include "relayrun.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{/* An image's full name: (dict "root" . "image" .Values.api.image). A digest decides, where there is one: the tag beside
it is for people to read. */}}
{{- define "relayrun.image" -}}
{{- $repository := .image.repository -}}
{{- $first := splitList "/" $repository | first -}}
{{- $named := and (contains "/" $repository) (or (contains "." $first) (contains ":" $first) (eq $first "localhost")) -}}
{{- $global := .root.Values.global -}}
{{- $registry := default (hasPrefix "relayrun-" $repository | ternary $global.relayrunRegistry "") $global.imageRegistry -}}
{{- if and $registry (not $named) -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" $registry) $repository -}}
{{- end -}}
{{- $tagged := printf "%s:%s" $repository (default .root.Chart.AppVersion .image.tag | toString) -}}
{{- with .image.digest }}{{ printf "%s@%s" $tagged . }}{{ else }}{{ $tagged }}{{ end -}}
{{- end -}}

{{- define "relayrun.serviceAccount" -}}
{{- default (printf "%s-%s" (include "relayrun.fullname" .root) .part) (index .root.Values .part).serviceAccount.name -}}
{{- end -}}

{{- define "relayrun.tokenSecret" -}}
{{- default (printf "%s-runner-token" (include "relayrun.fullname" .)) .Values.runnerToken.existingSecret -}}
{{- end -}}

{{- define "relayrun.watchNamespaces" -}}
{{- join "," (default (list .Release.Namespace) .Values.watchNamespaces) -}}
{{- end -}}

{{- define "relayrun.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "relayrun.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Where pods go: (dict "root" . "part" "api" "values" .Values.api) */}}
{{- define "relayrun.scheduling" -}}
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat (default list .tolerations) .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "relayrun.spread" -}}
topologySpreadConstraints:
{{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
{{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    # Only pods of the same revision count: else those that an update replaces push the new ones onto one node.
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels: {{- include "relayrun.selector" (dict "root" .root "part" .part) | nindent 8 }}
{{- end }}
{{- end -}}

{{/* Environment that operator, API and migrations share. */}}
{{- define "relayrun.environment" -}}
{{- with .root.Values.proxy }}
{{- if or .httpProxy .httpsProxy }}
{{- if .httpProxy }}
- {name: HTTP_PROXY, value: {{ .httpProxy | quote }}}
- {name: http_proxy, value: {{ .httpProxy | quote }}}
{{- end }}
{{- if .httpsProxy }}
- {name: HTTPS_PROXY, value: {{ .httpsProxy | quote }}}
- {name: https_proxy, value: {{ .httpsProxy | quote }}}
{{- end }}
{{- $no := prepend (without (list .noProxy) "") "localhost,127.0.0.1,.svc,.cluster.local,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16" | join "," }}
- {name: NO_PROXY, value: {{ $no | quote }}}
- {name: no_proxy, value: {{ $no | quote }}}
{{- end }}
{{- end }}
{{- if .root.Values.caBundle.configMap }}
- {name: SSL_CERT_FILE, value: /etc/relayrun/ca/ca.crt}
- {name: REQUESTS_CA_BUNDLE, value: /etc/relayrun/ca/ca.crt}
{{- end }}
{{- with .values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "relayrun.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .root.Values.caBundle.configMap }}
- {name: ca, mountPath: /etc/relayrun/ca, readOnly: true}
{{- end }}
{{- with .values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "relayrun.volumes" -}}
- {name: tmp, emptyDir: {}}
{{- with .root.Values.caBundle }}
{{- if .configMap }}
- name: ca
  configMap: {name: {{ .configMap }}, items: [{key: {{ .key }}, path: ca.crt}]}
{{- end }}
{{- end }}
{{- with .values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Of an API: from files, so that a password may change; the variables are what it starts with. */}}
{{- define "relayrun.databaseEnvironment" -}}
- name: RELAYRUN_DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ .Values.database.secretName }}, key: {{ .Values.database.secretKey }}}}
- {name: RELAYRUN_DATABASE_URL_FILE, value: /run/relayrun/database/url}
{{- if .Values.database.directSecretKey }}
- name: RELAYRUN_DATABASE_DIRECT_URL
  valueFrom: {secretKeyRef: {name: {{ .Values.database.directSecretName | default .Values.database.secretName }}, key: {{ .Values.database.directSecretKey }}}}
- {name: RELAYRUN_DATABASE_DIRECT_URL_FILE, value: /run/relayrun/direct-database/url}
{{- end }}
{{- if kindIs "bool" .Values.database.preparedStatements }}
- {name: RELAYRUN_DATABASE_PREPARED_STATEMENTS, value: {{ .Values.database.preparedStatements | quote }}}
{{- end }}
- {name: RELAYRUN_DATABASE_CONNECTIONS, value: {{ .Values.database.connections.api | quote }}}
{{- end -}}

{{- define "relayrun.databaseMounts" -}}
- {name: database, mountPath: /run/relayrun/database, readOnly: true}
{{- if .Values.database.directSecretKey }}
- {name: direct-database, mountPath: /run/relayrun/direct-database, readOnly: true}
{{- end }}
{{- end -}}

{{- define "relayrun.databaseVolumes" -}}
{{- with .Values.database }}
- name: database
  secret: {secretName: {{ .secretName }}, items: [{key: {{ .secretKey }}, path: url}], optional: true}
{{- if .directSecretKey }}
- name: direct-database
  secret: {secretName: {{ .directSecretName | default .secretName }}, items: [{key: {{ .directSecretKey }}, path: url}], optional: true}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Of an API: secrets that may be replaced, each with the one before it, which counts too while it is there. */}}
{{- define "relayrun.secretMounts" -}}
{{- range $name, $_ := fromYaml (include "relayrun.secretsOfApi" .) }}
- {name: {{ $name }}, mountPath: /run/relayrun/{{ $name }}, readOnly: true}
{{- end }}
{{- end -}}

{{- define "relayrun.secretVolumes" -}}
{{- range $name, $of := fromYaml (include "relayrun.secretsOfApi" .) }}
- name: {{ $name }}
  secret:
    secretName: {{ $of.secret }}
    optional: true
    items:
      - {key: {{ $of.key | quote }}, path: {{ $of.file }}}
      - {key: {{ printf "previous-%s" $of.key | quote }}, path: previous-{{ $of.file }}}
{{- end }}
{{- end -}}

{{- define "relayrun.secretsOfApi" -}}
runner-token: {secret: {{ include "relayrun.tokenSecret" . }}, key: token, file: token}
{{- with .Values.api.jwt }}
{{- if and (contains "jwt" $.Values.api.auth) .existingSecret }}
jwt-secret: {secret: {{ .existingSecret | quote }}, key: {{ .secretKey | quote }}, file: secret}
{{- end }}
{{- end }}
{{- with .Values.api.webhooks }}
{{- if .existingSecret }}
webhook-secret: {secret: {{ .existingSecret | quote }}, key: {{ .secretKey | quote }}, file: secret}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Of the migrations: Postgres itself, as a role that may change the schema. */}}
{{- define "relayrun.migrationsEnvironment" -}}
{{- $database := .Values.database }}
{{- $direct := $database.directSecretKey | empty | not | ternary ($database.directSecretName | default $database.secretName) $database.secretName }}
- name: RELAYRUN_DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ .Values.migrations.databaseSecretName | default $direct }}, key: {{ $database.directSecretKey | default $database.secretKey }}}}
{{- end -}}
