# Every target uses the virtual environment that `make setup` makes in the project's root.
# PYTHON may name another interpreter; the first that runs and is 3.11 to 3.14 is taken.
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11
# What `make test-all-pythons` looks for; those that are absent are skipped by name.
PYTHONS ?= python3.11 python3.12 python3.13 python3.14
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FAST := not services and not soak and not thorough
# Tests wait for processes, files and services, some for most of their time: three processes for two cores.
PROCESSES ?= $(shell echo $$((3 * $$(getconf _NPROCESSORS_ONLN) / 2)))
# The tests of a file stay together, because they share what is made once for all of them. The order of the files is that
# of tests/conftest.py: what takes long begins first.
SIDE_BY_SIDE := -n $(PROCESSES) --dist loadfile --no-loadscope-reorder
PIP := -m pip install -q --disable-pip-version-check
# $(call install,INTERPRETER): what is fetched must have a hash of the lock; then the project, from this folder alone.
install = $(1) $(PIP) --require-hashes -r constraints.txt && $(1) $(PIP) --no-index --no-deps --no-build-isolation -e .
# What writes the lock files; installed in a temporary folder only.
UV := uv==0.13.9
COMPILE := pip compile -q --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-annotate \
  --no-header --group build

# Each of the many processes would compile all modules again, and pytest rewrite all tests.
unexport PYTHONDONTWRITEBYTECODE
# Each process of pytest would import trio for a plugin that no test uses.
export HYPOTHESIS_NO_PLUGINS := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo live lint test test-services test-all-pythons sanitize soak bench peers schemas metrics lock vendor tools clean

help: ## Show this list.
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 26

setup: $(STAMP) ## Make .venv with Callwarden and all that its tests need.

# The extensions are built where a C compiler is.
$(STAMP): pyproject.toml constraints.txt $(shell find monitor streams -name '*.[ch]')
	@python=$$(.ci/find-python $(PYTHON)) && { "$$python" -m venv $(VENV) || { \
	  echo "$$python cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; }
	$(call install,$(BIN)/python)
	@touch $(STAMP)

demo: setup ## Simulate tenants, judge them before your eyes, and make the report in demo-out/.
	@$(BIN)/callwarden demo --out demo-out

live: setup ## Kafka, topics, a worker, simulated traffic, decisions scrolling: all in this terminal; ARGS are handed on.
	@$(BIN)/callwarden live $(ARGS)

lint: setup ## Style, types, import contracts, layout.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python .ci/check-layout

test: setup lint ## The fast suite, side by side on all cores: no service, no browser; ARGS go to pytest.
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m '$(FAST)' $(ARGS)

# Without CALLWARDEN_REQUIRE_SERVICES=1 a test whose service is absent is skipped by name; with it, it fails.
test-services: setup $(if $(filter 1,$(CALLWARDEN_REQUIRE_SERVICES)),tools) ## Tests against real services, and the rest of the random tests.
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m 'services or thorough' $(ARGS)

test-all-pythons: ## The fast suite on each of PYTHONS that is here, each in a virtual environment of its own.
	@ran=; for name in $(PYTHONS); do \
	  python=$$(.ci/find-python $$name 2>/dev/null) || { echo "== $$name is not here: skipped"; continue; }; \
	  venv=.venv-$${name#python}; echo "== $$name: $$venv"; \
	  "$$python" -m venv $$venv && $(call install,$$venv/bin/python) && \
	  $$venv/bin/python -m pytest -p no:cacheprovider $(SIDE_BY_SIDE) -m '$(FAST)' || exit 1; \
	  ran="$$ran $$name"; \
	done; [ -n "$$ran" ] || { echo "None of $(PYTHONS) is here." >&2; exit 1; }; echo "== passed on$$ran"

sanitize: setup ## The tests of the C extensions, built with AddressSanitizer and UndefinedBehaviorSanitizer.
	.ci/sanitize $(BIN)/python $(ARGS)

soak: setup tools sanitize ## The long suites, against real services, too: what is absent is a failure.
	CALLWARDEN_REQUIRE_SERVICES=1 $(BIN)/python -m pytest -o timeout=0 -m soak $(ARGS)

bench: setup ## Measure speed, memory and CPU time by phase; ARGS are passed on.
	PYTHONPATH=tests $(BIN)/python -m bench.run $(ARGS)

peers: setup ## Install the frameworks that `make bench ARGS='--only peers'` compares with: Bytewax, Kafka Streams, Quix Streams.
	PYTHONPATH=tests $(BIN)/python -m bench.peers.catalogue

schemas: setup ## Generate the JSON Schemas, the AsyncAPI document, the conformance pack for billing and the resolved built-in policy.
	$(BIN)/python -m monitor.policy.built_in
	$(BIN)/callwarden schema export --out schemas
	$(BIN)/callwarden schema billing-pack --out schemas/billing-pack

metrics: setup ## Generate the table of metrics in docs/reference/metrics.md and Grafana's dashboards.
	$(BIN)/callwarden schema metrics docs/reference/metrics.md
	$(BIN)/python deploy/grafana/dashboards.py

lock: ## Write both lock files; versions stay unless ARGS says so: ARGS='--upgrade-package NAME' or ARGS=--upgrade.
	@python=$$(.ci/find-python $(PYTHON)) && folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	  "$$python" -m venv "$$folder" && "$$folder/bin/python" $(PIP) $(UV) && \
	  "$$folder/bin/uv" $(COMPILE) $(ARGS) --all-extras -o constraints.txt pyproject.toml && \
	  rm -f deploy/constraints.txt && \
	  "$$folder/bin/uv" $(COMPILE) -c constraints.txt --extra registry --extra mysql -o deploy/constraints.txt pyproject.toml

vendor: ## Fetch the console's browser libraries again by npm; a file with another hash than the manifest's is refused.
	@.ci/vendor $(ARGS)

tools: setup ## What the service tests need: a browser, Java, Kamailio, MariaDB, PostgreSQL, Prometheus, SIPp; Kafka, a schema registry, axe-core.
	@.ci/install-tools
	@$(BIN)/callwarden dev-kafka --fetch
	@$(BIN)/python tests/broker/apicurio.py
	@PYTHONPATH=tests $(BIN)/python -m helpers.axe

clean: ## Remove all that these targets made.
	rm -rf .venv .venv-* .tools build dist demo-out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf .import_linter_cache
	find monitor streams -name '*.so' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
