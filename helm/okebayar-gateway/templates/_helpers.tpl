{{- define "okebayar.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "okebayar.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "okebayar.labels" -}}
{{ include "okebayar.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: okebayar-gateway
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "okebayar.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* The restricted Pod Security Standard. */}}
{{- define "okebayar.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "okebayar.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* One value of the configuration in TOML: numbers as written, lists item by item. */}}
{{- define "okebayar.toml" -}}
{{- if kindIs "slice" . -}}
[{{ range $i, $item := . }}{{ if $i }}, {{ end }}{{ $item | quote }}{{ end }}]
{{- else if kindIs "bool" . -}}
{{ . }}
{{- else if kindIs "float64" . -}}
{{ int64 . }}
{{- else -}}
{{ . | quote }}
{{- end -}}
{{- end -}}

{{/* The keys of a section, one on each line. */}}
{{- define "okebayar.keys" -}}
{{- range $key, $value := (default dict .) }}
{{ $key }} = {{ include "okebayar.toml" $value }}
{{- end }}
{{- end -}}

{{/* After the first install a missing file is a lost store, unless the values override it. */}}
{{- define "okebayar.mustExist" -}}
{{- $set := .Values.store.embedded.mustExist -}}
{{- if kindIs "bool" $set }}{{ $set }}{{ else }}{{ .Release.IsUpgrade }}{{ end -}}
{{- end -}}

{{/* The keys of a store in Redis; secrets are mounted. */}}
{{- define "okebayar.redis" -}}
{{- $isSentinel := eq .topology "sentinel" }}
{{- if ne .topology "standalone" }}
topology = {{ .topology | quote }}
{{- end }}
{{- with .url }}
url = {{ . | quote }}
{{- end }}
{{- if $isSentinel }}
sentinel_primary = {{ .sentinelPrimary | quote }}
{{- end }}
{{- with .username }}
username = {{ . | quote }}
{{- end }}
{{- if .passwordSecret.name }}
password_file = "/run/secrets/redis/password/value"
{{- end }}
{{- if and $isSentinel .sentinelUsername }}
sentinel_username = {{ .sentinelUsername | quote }}
{{- end }}
{{- if and $isSentinel .sentinelPasswordSecret.name }}
sentinel_password_file = "/run/secrets/redis/sentinel-password/value"
{{- end }}
{{- if .tls.caSecret.name }}
tls_ca_file = "/run/secrets/redis/ca/ca.crt"
{{- end }}
{{- if .tls.clientSecret.name }}
tls_cert_file = "/run/secrets/redis/client/tls.crt"
tls_key_file = "/run/secrets/redis/client/tls.key"
{{- end }}
{{- if ne (toString .acknowledgingReplicas) "0" }}
acknowledging_replicas = {{ include "okebayar.toml" .acknowledgingReplicas }}
{{- end }}
partitions = {{ int64 .partitions }}
{{- end -}}

{{/* An entry of the keys of encryption. */}}
{{- define "okebayar.keyFile" -}}
{{- if eq . "none" }}none{{ else }}{{ . }}:/run/secrets/encryption/{{ . }}{{ end -}}
{{- end -}}

{{/* The Secrets of a store in Redis that are mounted: for each its volume, its name and its items. */}}
{{- define "okebayar.redisSecrets" -}}
{{- $store := .Values.store }}
{{- if eq $store.kind "redis" }}
{{- $redis := $store.redis }}
{{- with $redis.passwordSecret }}{{ if .name }}
- {volume: password, secret: {{ .name }}, items: [{key: {{ .key }}, path: value}]}
{{- end }}{{ end }}
{{- with $redis.sentinelPasswordSecret }}{{ if and .name (eq $redis.topology "sentinel") }}
- {volume: sentinel-password, secret: {{ .name }}, items: [{key: {{ .key }}, path: value}]}
{{- end }}{{ end }}
{{- with $redis.tls.caSecret }}{{ if .name }}
- {volume: ca, secret: {{ .name }}, items: [{key: {{ .key }}, path: ca.crt}]}
{{- end }}{{ end }}
{{- with $redis.tls.clientSecret }}{{ if .name }}
- {volume: client, secret: {{ .name }}, items: [{key: {{ .certificateKey }}, path: tls.crt}, {key: {{ .privateKeyKey }}, path: tls.key}]}
{{- end }}{{ end }}
{{- end }}
{{- end -}}

{{- define "okebayar.config" -}}
{{- $settings := .Values.settings -}}
{{- if .Values.defaultAccount }}
default_account = {{ .Values.defaultAccount | quote }}
{{- end }}

[grpc]
listen = "0.0.0.0:50051"

[admin]
listen = "0.0.0.0:9464"

[callbacks]
listen = "0.0.0.0:8080"
{{- include "okebayar.keys" (get $settings "callbacks") }}

[shutdown]
drain = "{{ int64 .Values.drainSeconds }}s"

[store]
kind = {{ .Values.store.kind | quote }}
{{- if eq .Values.store.kind "embedded" }}
path = "/data/gateway.redb"
must_exist = {{ include "okebayar.mustExist" . }}
{{- else }}
{{- include "okebayar.redis" .Values.store.redis }}
{{- end }}
{{- with .Values.store.encryption }}
{{- if .secretName }}
encryption_key_files = [{{ range $i, $id := .keyIds }}{{ if $i }}, {{ end }}{{ include "okebayar.keyFile" $id | quote }}{{ end }}]
{{- end }}
{{- end }}
{{- include "okebayar.keys" (get $settings "store") }}
{{- range $section := list "limits" "checks" "events" "retention" "telemetry" }}
{{- with (get $settings $section) }}

[{{ $section }}]
{{- include "okebayar.keys" . }}
{{- end }}
{{- end }}
{{- range $name, $account := .Values.accounts }}

[accounts.{{ $name }}]
url = {{ $account.url | quote }}
userid = {{ $account.userid | quote }}
{{- with $account.formerly }}
formerly = {{ include "okebayar.toml" . }}
{{- end }}
pin_file = "/run/secrets/okebayar/{{ $name }}/pin/value"
{{- if $account.callbackSecret }}
callback_secret_file = "/run/secrets/okebayar/{{ $name }}/callback/value"
{{- end }}
{{- include "okebayar.keys" $account.settings }}
{{- end }}
{{- end -}}

{{/* The pod, the same for both kinds of store. */}}
{{- define "okebayar.pod" -}}
metadata:
  labels:
    {{- include "okebayar.labels" . | nindent 4 }}
    app.kubernetes.io/component: gateway
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include "okebayar.config" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "okebayar.fullname" . }}
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: {{ add (int64 .Values.drainSeconds) (int64 .Values.preStopSeconds) 10 }}
  securityContext:
    {{- include "okebayar.podSecurity" . | nindent 4 }}
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "okebayar.selector" $ | nindent 10 }}
          app.kubernetes.io/component: gateway
    {{- end }}
  containers:
    - name: gateway
      image: {{ include "okebayar.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve, --config, /etc/okebayar/gateway.toml]
      securityContext:
        {{- include "okebayar.containerSecurity" . | nindent 8 }}
      ports:
        - {name: grpc, containerPort: 50051}
        - {name: callbacks, containerPort: 8080}
        - {name: admin, containerPort: 9464}
      env:
        {{- if and (eq .Values.store.kind "redis") .Values.store.redis.urlSecret.name }}
        - name: OKEBAYAR_GATEWAY__STORE__URL
          valueFrom:
            secretKeyRef:
              name: {{ .Values.store.redis.urlSecret.name }}
              key: {{ .Values.store.redis.urlSecret.key }}
        {{- end }}
        {{- with .Values.environment }}
        - name: OTEL_RESOURCE_ATTRIBUTES
          value: deployment.environment.name={{ . }}
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      startupProbe:
        httpGet: {path: /healthz, port: admin}
        periodSeconds: 1
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: admin}
        periodSeconds: 10
        failureThreshold: 3
      readinessProbe:
        httpGet: {path: /readyz, port: admin}
        periodSeconds: 5
        failureThreshold: 2
      lifecycle:
        preStop:
          exec:
            command: [/usr/local/bin/okebayar-gateway, pause, {{ int64 .Values.preStopSeconds }}s]
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - {name: config, mountPath: /etc/okebayar, readOnly: true}
        {{- range $name, $account := .Values.accounts }}
        - {name: pin-{{ $name }}, mountPath: /run/secrets/okebayar/{{ $name }}/pin, readOnly: true}
        {{- if $account.callbackSecret }}
        - {name: callback-{{ $name }}, mountPath: /run/secrets/okebayar/{{ $name }}/callback, readOnly: true}
        {{- end }}
        {{- end }}
        {{- range (include "okebayar.redisSecrets" . | fromYamlArray) }}
        - {name: redis-{{ .volume }}, mountPath: /run/secrets/redis/{{ .volume }}, readOnly: true}
        {{- end }}
        {{- if .Values.store.encryption.secretName }}
        - {name: encryption, mountPath: /run/secrets/encryption, readOnly: true}
        {{- end }}
        {{- if eq .Values.store.kind "embedded" }}
        - {name: data, mountPath: /data}
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "okebayar.fullname" . }}
    {{- range $name, $account := .Values.accounts }}
    - name: pin-{{ $name }}
      secret:
        secretName: {{ $account.pinSecret.name }}
        items:
          - {key: {{ $account.pinSecret.key }}, path: value}
    {{- with $account.callbackSecret }}
    - name: callback-{{ $name }}
      secret:
        secretName: {{ .name }}
        items:
          - {key: {{ .key }}, path: value}
    {{- end }}
    {{- end }}
    {{- range (include "okebayar.redisSecrets" . | fromYamlArray) }}
    - name: redis-{{ .volume }}
      secret:
        secretName: {{ .secret }}
        items:
          {{- toYaml .items | nindent 10 }}
    {{- end }}
    {{- with .Values.store.encryption.secretName }}
    - name: encryption
      secret:
        secretName: {{ . }}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
