#!/usr/bin/env bash
# A kind cluster with Relayrun in it, from this folder's sources. May be run again at any time.
#   cluster.sh images | up | down
# CLUSTER: its name (relayrun). TAG: of the images (dev). KIND_NODE_IMAGE: the node's image, else kind's own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cluster=${CLUSTER:-relayrun}
tag=${TAG:-dev}
namespace=relayrun
parts=(operator api runner example-steps)

need() {
  local tool missing=()
  for tool in "$@"; do command -v "$tool" >/dev/null || missing+=("$tool"); done
  [ ${#missing[@]} = 0 ] || { echo "This needs ${missing[*]} on the PATH." >&2; exit 1; }
  docker info >/dev/null 2>&1 || { echo "This needs Docker, and it does not answer: docker info says why." >&2; exit 1; }
}

build() { # image folder arguments...
  local image=$1 folder=$2 log; shift 2
  log=$(mktemp)
  if ! DOCKER_BUILDKIT=1 "$(docker_client)" build -q -t "$image" "$@" "$folder" >"$log" 2>&1; then
    cat "$log" >&2; rm -f "$log"; exit 1
  fi
  rm -f "$log"
}

# A client of another make may lack BuildKit, which the Dockerfile needs.
docker_client() { if docker buildx version >/dev/null 2>&1 || [ ! -x /usr/bin/docker ]; then command -v docker; else echo /usr/bin/docker; fi; }

images() {
  need docker
  local part revision building=()
  scripts/console.sh
  revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
  for part in runner operator api; do
    echo "building relayrun-$part:$tag"
    build "relayrun-$part:$tag" . --build-arg "PART=$part" --build-arg "VERSION=$tag" --build-arg "REVISION=$revision" &
    building+=($!)
  done
  for part in "${building[@]}"; do wait "$part"; done
  echo "building relayrun-example-steps:$tag"
  build "relayrun-example-steps:$tag" examples/steps --build-arg "RUNNER_IMAGE=relayrun-runner:$tag"
}

# A tag that changes with the content, so that everything rolls when a source has changed, and nothing when not.
content_tag() { echo "$tag-$(docker image inspect -f '{{.Id}}' "relayrun-$1:$tag" | sed 's/^sha256://' | cut -c1-12)"; }

up() {
  need docker kind kubectl helm
  kind get clusters 2>/dev/null | grep -qx "$cluster" ||
    kind create cluster --name "$cluster" --wait 120s ${KIND_NODE_IMAGE:+--image "$KIND_NODE_IMAGE"}
  local part load=() context="kind-$cluster"
  for part in "${parts[@]}"; do
    docker tag "relayrun-$part:$tag" "relayrun-$part:$(content_tag "$part")"
    load+=("relayrun-$part:$(content_tag "$part")")
  done
  docker image inspect pgvector/pgvector:pg17 >/dev/null 2>&1 || docker pull -q pgvector/pgvector:pg17
  kind load docker-image --name "$cluster" "${load[@]}" pgvector/pgvector:pg17 2>&1 | sed 's/^/  /'
  helm --kube-context "$context" upgrade --install relayrun charts/relayrun \
    --namespace "$namespace" --create-namespace --wait --timeout 5m \
    --set postgres.enabled=true \
    --set sampleAgent.enabled=true \
    --set api.auth=none \
    --set api.rateLimit.runs=0 \
    --set sampleAgent.image.tag="$(content_tag example-steps)" \
    --set operator.image.tag="$(content_tag operator)" \
    --set api.image.tag="$(content_tag api)" \
    --set tests.image.tag="$(content_tag api)" \
    --set migrations.image.tag="$(content_tag runner)"
  kubectl --context "$context" -n "$namespace" wait --for=create agent/steps --timeout=120s
  kubectl --context "$context" -n "$namespace" wait --for=condition=Ready agent/steps --timeout=180s
  echo
  echo "kubectl talks to it as:  kubectl --context $context -n $namespace get agents,agentruns"
}

down() {
  need docker kind
  kind delete cluster --name "$cluster"
}

case ${1:-} in
  images | up | down) "$1" ;;
  *) echo "usage: $0 images|up|down" >&2; exit 2 ;;
esac
