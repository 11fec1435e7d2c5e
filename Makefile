# Every target sets the checkout up by itself; `make help` lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
WORKERS := 3
PARALLEL := $(PYTEST) -n $(WORKERS) -m "not long"
SUITE := tests/unit tests/house tests/contract tests/integration tests/acceptance tests/faults
export PYTHON

.PHONY: help setup demo test test-random test-durations check lint format integration test-mysql mariadb-next acceptance faults soak bench lock docs compose-check clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## virtual environment, locked packages, jars, missing Debian packages; skips what is done
	@.ci/setup

demo: setup ## the sample job on generated traffic, with the numbers that prove nothing was lost
	@$(BIN)/streamjobs demo

test: mariadb-next ## everything that must hold: check, contract, integration, acceptance, faults with fixed seeds
	@$(PARALLEL) $(SUITE)

test-random: mariadb-next ## the same in a random order of modules, SEED=… for one that was printed before
	@$(PARALLEL) $(SUITE) --random-modules=$(or $(SEED),$(shell date +%s))

test-durations: mariadb-next ## the same, and write how long its tests took: the order in which `test` starts them
	@$(PARALLEL) $(SUITE) --write-durations

check: setup ## format, lint, types, import rules, unit and house tests; about a minute
	@$(PARALLEL) tests/unit tests/house

lint: setup ## format, lint, types and import rules alone
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: setup ## rewrite the sources in the house format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

integration: mariadb-next ## tests against real services
	@$(PARALLEL) tests/contract tests/integration

test-mysql: setup ## capture against a server of yours: MYSQL_URL=mysql://root:password@127.0.0.1:3306[?tls_ca_file=ca.pem]
	@test -n "$(MYSQL_URL)" || { echo "test-mysql: set MYSQL_URL=mysql://root:password@host:port" >&2; exit 2; }
	@MYSQL_URL="$(MYSQL_URL)" $(PYTEST) -m "not long" tests/contract/test_binlog_live.py \
		tests/integration/test_capture_live.py tests/integration/test_capture_between_runs.py \
		tests/integration/test_capture_new_tables.py tests/integration/test_capture_told.py \
		tests/integration/test_capture_gone_rows.py
	@MYSQL_URL="$(MYSQL_URL)" $(PYTEST) tests/faults/test_binlog_differential.py

mariadb-next: setup ## fetch MariaDB 11.8 into .streamjobs; nothing of the machine is changed
	@$(BIN)/python .ci/mariadb_next.py

acceptance: setup ## the sample job against its oracles
	@$(PARALLEL) tests/acceptance

faults: mariadb-next ## kill, stop and starve things while a job runs, the long ones too, and new property examples
	@EXAMPLES=new $(PARALLEL) tests/unit
	@EXAMPLES=new $(PYTEST) -n $(WORKERS) -m "long or fault" tests/contract tests/integration tests/acceptance tests/faults

soak: setup ## an hour of changes from MariaDB to the stores, MINUTES=60: nothing grows, nothing is lost
	@MINUTES="$(or $(MINUTES),60)" $(PYTEST) -s tests/soak

bench: setup ## speed against Flink's own connectors; minutes
	@$(BIN)/python -m tests.benchmarks

lock: setup ## resolve requirements.lock again from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header \
	    --no-emit-index-url --extra dev pyproject.toml .ci/lock.in --output-file requirements.lock

docs: setup ## write the generated pages of docs/ again
	@$(BIN)/python -m tests.house.cli_page
	@$(BIN)/python -m tests.house.delivery_page
	@$(BIN)/python -m tests.house.jobs_page
	@$(BIN)/python -m tests.house.capture_page

compose-check: setup ## docker-compose.yml against its schema and the versions of streamjobs/local
	@$(PYTEST) tests/house/test_compose.py

clean: ## stop the services of `dev up` and remove everything that was built, but not .venv and jars
	@if [ -x $(BIN)/streamjobs ]; then $(BIN)/streamjobs dev down; fi
	@rm -rf .streamjobs/dev .streamjobs/rocksdb build dist .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## also remove .venv and jars: as after a clone
	@rm -rf .venv .streamjobs *.egg-info
