# Needs Python 3.11 or newer, make and a package index; gets everything else by itself, into this folder.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
UV_PIN := uv==0.13.9
UV := $(or $(shell command -v uv),$(CURDIR)/.uv/bin/uv)
RUN := .venv/bin/python -m
OURS := core operator api runner cli bench examples/steps release tests
# Of the tests. A test waits as long as it computes, for what it has started or killed: one uses half a core.
WORKERS ?= 3

export UV
export UV_PYTHON_DOWNLOADS := never
unexport VIRTUAL_ENV

.PHONY: help setup packages console dist demo test check docs reference diagrams format bench chaos clean update crds schema images cluster cluster-demo cluster-down
.PHONY: dev push version release-check

help:  ## Show what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: packages  ## Get uv if there is none, and everything the other targets need
	@scripts/console.sh || echo "The console could not be built: all but the page at /console works. \`make console\` tries again."

# All but the console, which takes as long again and which the demo does not show.
packages: .venv/.ready
	@$(RUN) compileall -q $(OURS)

console: packages  ## Build the console, the page at /console (needs Node.js, or gets it)
	@scripts/console.sh

dist: setup console  ## Build the distribution relayrun into dist/: a wheel and an sdist
	@$(UV) build --quiet --out-dir dist cli

demo: packages  ## Run an agent, kill its runner in the middle, watch the run go on (under a minute)
	@$(RUN) examples.steps.demo $(ARGS)

dev: packages  ## Work on Relayrun: an example, the console from its sources, both with reload (EXAMPLE=, PORT=)
	@scripts/dev.sh

test: setup  ## Run all tests (ARGS="-k name" for some), on a cluster too where Docker and kind are there
	@$(MAKE) local-layer
	@if [[ "$${REQUIRE_CLUSTER:-}" == 1 || -z "$(call missing_for_cluster)" ]]; then $(MAKE) cluster-layer; else echo; \
	echo "********************************************************************************"; \
	echo "* SKIPPED: the tests on a cluster. They need$(call missing_for_cluster)"; \
	echo "********************************************************************************"; fi

check: setup  ## Check format, lint, types and import contracts, without changing anything
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) mypy
	@.venv/bin/lint-imports
	@$(RUN) tests.docs.check .site
	@if command -v helm >/dev/null; then $(RUN) tests.charts.check; \
	else echo "SKIPPED: the chart's lint and schemas: there is no helm on the PATH."; fi

docs: packages  ## Build the site of docs/ into .site, strictly (ARGS=serve: show it on port 8001, anew at each change)
	@if [[ "$(ARGS)" == serve ]]; then $(RUN) mkdocs serve --strict --dev-addr localhost:8001; else \
	$(RUN) tests.docs.check .site && echo "The site is in .site/"; fi

format: setup  ## Format, and fix what can be fixed
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .

version: packages  ## Write a version everywhere and cut the changelog (VERSION=1.2.3)
	@$(RUN) release version $(VERSION)
	@[[ -z "$(VERSION)" ]] || $(UV) lock --quiet

push: setup console  ## Build the images, push them, package the chart that names them into dist/ (REGISTRY=registry.example/team)
	@$(RUN) release push --registry $(REGISTRY)

release-check: setup  ## All of a release that needs no registry: wheels, images, the chart on kind (ARGS=--help)
	@$(RUN) release.check $(ARGS)

bench: setup  ## Measure relayrun dev and langgraph dev side by side (about three minutes; ARGS=--help)
	@$(RUN) bench $(ARGS)

chaos: setup  ## Run 300 runs while a runner is killed every second (ARGS="--victims all", ARGS=--help)
	@$(RUN) bench.chaos $(ARGS)

clean:  ## Remove all that make, the tests and local runs have made here
	rm -rf .venv .uv .bench .site dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis \
	  console/node_modules api/relayrun_api/console/static \
	  examples/web/node_modules examples/web/dist tests/*/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

update: setup  ## Bring every lock file to the newest versions: ours, langgraph dev's, npm's
	@$(UV) lock --upgrade
	@$(RUN) bench.langgraph_dev
	@for folder in console examples/web tests/javascript tests/agent_chat_ui; do npm --prefix $$folder update --package-lock-only; done

crds: setup  ## Write the CRDs anew from the models, for kubectl and for the chart
	@$(RUN) relayrun_operator.kube.crds crds charts/relayrun/files/crds

diagrams: setup  ## Draw the diagrams of docs/ anew (needs npm and Chromium)
	@.venv/bin/python scripts/diagrams.py

reference: setup  ## Write the generated pages of docs/reference anew
	@$(RUN) tests.docs.reference

schema: setup  ## Write schema.sql anew from the migrations
	@$(RUN) tests.support.schema core/relayrun_core/sql/schema.sql

images: setup  ## Build the images (TAG=dev)
	@scripts/cluster.sh images

cluster: images  ## A kind cluster with Relayrun and a sample agent (CLUSTER=relayrun; again at any time)
	@scripts/cluster.sh up

cluster-demo: cluster setup  ## On the cluster: apply a run, delete its pod by force, watch the run go on
	@$(RUN) examples.steps.cluster_demo --context kind-$${CLUSTER:-relayrun} $(ARGS)

cluster-down:  ## Remove the kind cluster
	@scripts/cluster.sh down

.PHONY: downloads local-layer cluster-layer
downloads: setup
	@$(RUN) tests.support.downloads

local-layer: setup
	@$(RUN) pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=20 --ignore=tests/cluster $(ARGS)

cluster-layer: setup
	@missing="$(call missing_for_cluster)"; if [[ -n "$$missing" && -z "$${CLUSTER_KUBECONFIG:-}" ]]; then \
	echo "The tests on a cluster need$$missing" >&2; exit 1; fi
	@$(RUN) pytest -s --durations=15 tests/cluster $(ARGS) || { code=$$?; [[ $$code == 5 && "$(if $(ARGS),some)" ]] || exit $$code; }

# What is not there of docker, kind, kubectl and helm, each with a blank before it; and whether Docker answers.
define missing_for_cluster
$(shell for tool in docker kind kubectl helm; do command -v $$tool >/dev/null || printf ' %s' $$tool; done; \
  if command -v docker >/dev/null && ! docker info >/dev/null 2>&1; then printf ' a Docker that answers'; fi)
endef

.venv/.ready: pyproject.toml uv.lock $(wildcard */pyproject.toml) | $(UV)
	@# Compiled whatever PYTHONDONTWRITEBYTECODE says: a start without bytecode costs 2.5 times as much.
	@$(UV) sync --frozen --quiet --compile-bytecode
	@touch $@

$(CURDIR)/.uv/bin/uv:
	@echo "no uv on the PATH: getting $(UV_PIN) into .uv/"
	@$(PYTHON) -m venv .uv || { echo "$(PYTHON) cannot make a virtual environment: install its venv module, or uv." >&2; exit 1; }
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check "$(UV_PIN)"
