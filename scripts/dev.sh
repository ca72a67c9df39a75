#!/usr/bin/env bash
# `make dev`: an example under `relayrun dev`, started anew when Relayrun's own Python changes, and the console from its
# sources. Ctrl-C ends both. EXAMPLE: a folder with a langgraph.json (examples/chat). PORT: of the API (8000).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
example=${EXAMPLE:-examples/chat}
port=${PORT:-8000}
export RELAYRUN_URL=http://127.0.0.1:$port

end() {
  trap - EXIT INT TERM
  local pid
  # Not by SIGINT, which what a script starts beside itself does not hear.
  for pid in $(jobs -pr); do kill -TERM "$pid" 2>/dev/null || true; done
  wait
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

npm=$(command -v npm || true)
if [[ -n "$npm" ]]; then
  [[ -d console/node_modules ]] || (cd console && npm ci --no-audit --no-fund --loglevel=error)
  (cd console && exec node node_modules/vite/bin/vite.js --clearScreen false) &
  echo "The console, from its sources: http://localhost:5173/console/"
else
  echo "There is no npm on the PATH: the console is the built one, and does not reload."
fi

# Runs go on after a restart, from their last completed step: it is a crash as any other.
.venv/bin/python -m watchfiles --filter python --sigint-timeout 20 \
  ".venv/bin/relayrun dev --config $example/langgraph.json --port $port --no-browser ${ARGS:-}" \
  core operator api runner cli &
wait -n
