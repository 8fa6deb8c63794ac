# Everything a person needs to remember: make demo, make test.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# OpenMP threads that spin while they wait cost a factor of 200 on a busy machine.
export OMP_WAIT_POLICY := passive
export OPENBLAS_NUM_THREADS := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help setup demo test format lint types imports pytest torture bench lock audit clean

help: ## Show what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## Create .venv with the pinned dependencies (done once, and again when they change)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Regulars needs Python 3.11 or later; say which with: make PYTHON=/path/to/python3.11 " + "$(MAKECMDGOALS)")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## Run the whole job on a simulated shop and say what to open
	$(BIN)/regulars demo demo

test: lint types imports pytest ## Check everything: format, lint, types, import contracts, tests

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

pytest: setup
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder --durations=10

torture: setup ## Faults and attacks in full, for an hour and a half (docs/reliability.md)
	REGULARS_TORTURE=full $(BIN)/pytest -m torture -n 4 --dist load -p no:randomly --durations=20

format: setup ## Format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## Measure speed against named peers (installs them into .venv-bench)
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	.venv-bench/bin/python benchmarks/bench_features.py
	.venv-bench/bin/python benchmarks/bench_inference.py
	.venv-bench/bin/python benchmarks/bench_scoring.py
	.venv-bench/bin/python benchmarks/bench_panel.py
	.venv-bench/bin/python benchmarks/bench_churn.py

lock: setup ## Pin the whole environment again, with hashes and without index addresses
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --extra dev pyproject.toml --output-file requirements.lock
	echo 'uv-build>=0.9,<1' | $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --extra postgres --constraint requirements.lock \
		pyproject.toml - --output-file deploy/requirements.lock

audit: ## Look the pinned packages up in the database of known faults (needs the internet)
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	.venv-audit/bin/pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict

clean: ## Remove what was made
	rm -rf .venv .venv-audit .venv-bench demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
