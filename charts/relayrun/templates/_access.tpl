{{/* Who may call the API, and how much, as its environment. What cannot work fails here, with a sentence. */}}
{{- define "relayrun.accessEnvironment" -}}
{{- $api := .Values.api -}}
{{- if not $api.auth -}}
{{- fail "\n\napi.auth is not set. Say who may call the API: jwt, api-key, \"jwt,api-key\", custom, or none to let in whoever reaches it (docs/how-to/authentication.md)." -}}
{{- end -}}
- {name: RELAYRUN_AUTH, value: {{ $api.auth | quote }}}
{{- if contains "custom" $api.auth }}
{{- with $api.authAgent }}
- {name: RELAYRUN_AUTH_AGENT, value: {{ . | quote }}}
{{- end }}
{{- else if $api.authAgent }}
{{- fail "\n\napi.authAgent is for api.auth=custom. Set that, or leave authAgent out." }}
{{- end }}
{{- if contains "jwt" $api.auth }}
{{- with $api.jwt }}
{{- if and .jwksUrl .existingSecret }}
{{- fail "\n\napi.jwt has both jwksUrl and existingSecret. Leave one out: tokens are either signed by an issuer or with a shared secret." }}
{{- else if .jwksUrl }}
{{- if not (and .issuer .audience) }}
{{- fail "\n\napi.jwt.jwksUrl needs api.jwt.issuer and api.jwt.audience: an issuer signs tokens for other programs too." }}
{{- end }}
- {name: RELAYRUN_JWT_JWKS_URL, value: {{ .jwksUrl | quote }}}
{{- else if .existingSecret }}
- name: RELAYRUN_JWT_SECRET
  valueFrom: {secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .secretKey | quote }}}}
- {name: RELAYRUN_JWT_SECRET_FILE, value: /run/relayrun/jwt-secret/secret}
{{- else }}
{{- fail "\n\napi.auth has jwt. Give api.jwt.jwksUrl (with issuer and audience), or api.jwt.existingSecret with the secret of HS256 tokens." }}
{{- end }}
{{- if ne (empty .adminClaim) (empty .adminValue) }}
{{- fail "\n\napi.jwt.adminClaim and api.jwt.adminValue go together." }}
{{- end }}
{{- range $name, $value := dict "ISSUER" .issuer "AUDIENCE" .audience "ADMIN_CLAIM" .adminClaim "ADMIN_VALUE" .adminValue }}
{{- if $value }}
- {name: RELAYRUN_JWT_{{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
- {name: RELAYRUN_JWT_LEEWAY_SECONDS, value: {{ .leewaySeconds | quote }}}
{{- end }}
{{- end }}
- {name: RELAYRUN_RATE_LIMIT, value: {{ $api.rateLimit.runs | int64 | quote }}}
- {name: RELAYRUN_RATE_LIMIT_WINDOW_SECONDS, value: {{ $api.rateLimit.windowSeconds | int64 | quote }}}
- {name: RELAYRUN_CRONS_PER_OWNER, value: {{ $api.cronsPerOwner | int64 | quote }}}
- {name: RELAYRUN_OPEN_PER_OWNER, value: {{ $api.openPerOwner | int64 | quote }}}
- {name: RELAYRUN_QUESTIONS_PER_OWNER, value: {{ $api.questionsPerOwner | int64 | quote }}}
{{- with $api.trustedProxies }}
- {name: RELAYRUN_TRUSTED_PROXIES, value: {{ join "," . | quote }}}
{{- end }}
{{- end -}}
