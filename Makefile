# The commands of this project; `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu
ONCE ?=
PORT ?= 8000

.PHONY: help demo test test-long fuzz soak bench bench-quick check format openapi image sbom locks audit manifests clean
.DEFAULT_GOAL := help

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.demo ## Train on the shipped sample, serve it, print three recalls (ONCE=1: then stop)
	@$(BIN)/python -m examples.kuairand.demo --port $(PORT) $(if $(ONCE),--once)

test: $(VENV)/.dev ## Run the whole test suite (ARGS="...": arguments of pytest)
	@$(BIN)/pytest $(ARGS)

test-long: $(VENV)/.dev ## What is tried at random, at length: 2,000 operations, 1,000 mutations (minutes)
	@OPERATIONS=2000 MUTATIONS=1000 $(BIN)/pytest tests/service/test_replica.py tests/faults/test_life.py \
	    tests/faults/test_bundle_damage.py tests/faults/test_snapshot_damage.py $(ARGS)

fuzz: $(VENV)/.dev ## Every call as described, then requests, records and files that nobody should send (a quarter of an hour)
	@$(BIN)/python -m tests.fuzz $(ARGS)

soak: $(VENV)/.dev ## Kill and churn a real service for over an hour; run again, it goes on (ARGS="--only churn")
	@$(BIN)/python -m benchmarks.soak --out runs/soak $(ARGS)

bench: $(VENV)/.dev ## Measure what is served, into runs/bench and docs/benchmarks.md (a quarter of an hour)
	@$(BIN)/python -m benchmarks $(ARGS)
	@$(BIN)/python -m benchmarks.page

bench-quick: $(VENV)/.dev ## The same at small sizes, into runs/bench-quick alone (under 4 minutes)
	@$(BIN)/python -m benchmarks --quick --out runs/bench-quick $(ARGS)

check: $(VENV)/.dev ## Formatting, lint, types, import rules, generated docs, locks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m service.http.openapi --check docs/openapi.json
	$(BIN)/hadolint Dockerfile
	$(BIN)/python -m deploy.lock
	$(BIN)/python -m deploy.audit --lists

format: $(VENV)/.dev ## Format the code and mend what lint can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

openapi: $(VENV)/.dev ## Write docs/openapi.json again
	$(BIN)/python -m service.http.openapi docs/openapi.json

image: ## Build the images firstsight and firstsight-training; needs Docker (docs/deploy.md)
	docker build --build-arg REVISION=$$(git rev-parse HEAD) --build-arg CREATED=$$(date -u +%FT%TZ) --tag firstsight .
	docker build --build-arg REVISION=$$(git rev-parse HEAD) --build-arg CREATED=$$(date -u +%FT%TZ) \
	    --target training --tag firstsight-training .

sbom: ## Write sbom.json, what the image firstsight holds, as CycloneDX; needs Docker (docs/deploy.md)
	docker build --target sbom --output . .

locks: $(VENV)/.dev ## Lock what the images install again (ARGS="--upgrade"); needs package indexes (docs/security.md)
	@$(BIN)/python -m deploy.lock write $(TORCH_CPU_INDEX) $(ARGS)

audit: $(VENV)/.dev ## Ask for advisories and licences of what the images install (exit 3: nobody answered)
	@$(BIN)/python -m deploy.audit $(ARGS)

manifests: ## Render deploy/kubernetes from the chart again; needs Helm (docs/deploy.md)
	@for one in claim fetch full; do \
	  told=$$(helm template firstsight deploy/chart --namespace recall --values deploy/chart/ci/$$one-values.yaml) || exit 1; \
	  printf '%s\n' "$$told" > deploy/kubernetes/$$one.yaml; \
	done

clean: ## Remove what make made, the environment included
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis runs bundles .firstsight

$(VENV)/.demo: pyproject.toml | $(VENV)/.torch
	@echo "installing firstsight with its extras service, training and export"
	@$(BIN)/pip install --quiet --editable '.[service,training,export]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.torch
	@echo "installing firstsight with all its extras"
	@$(BIN)/pip install --quiet --editable '.[service,tracing,training,export,compact,factors,benchmarks,dev,audit]'
	@touch $@ $(VENV)/.demo

# On Linux without a GPU the CPU build is enough, and some gigabytes smaller than the default one.
$(VENV)/.torch: | $(VENV)/bin/pip
	@if [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null && \
	    $(BIN)/python -c 'import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=5)' \
	    $(TORCH_CPU_INDEX)/torch/ 2>/dev/null; then \
	  echo "downloading $(TORCH), CPU build (about 200 MB), from $(TORCH_CPU_INDEX)"; \
	  $(BIN)/pip install --quiet --extra-index-url $(TORCH_CPU_INDEX) '$(TORCH)+cpu'; \
	else \
	  echo "downloading $(TORCH) from the default package index (a CUDA build takes gigabytes)"; \
	  $(BIN)/pip install --quiet '$(TORCH)'; \
	fi
	@touch $@

$(VENV)/bin/pip:
	@echo "making the environment $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "firstsight needs Python 3.11 or newer")'
	@$(PYTHON) -m venv $(VENV)
