# What people type. Everything else is in scripts/ and in the tools themselves.
# `make demo` and `make test` do all set-up on a machine with Python 3.11+.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test check tests tests-bounds bench reliability gen format lock sbom audit fuzz sandbox sandbox-down examples clean

help: ## shows this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## makes .venv with the command .venv/bin/planton

$(STAMP): requirements/dev.txt requirements/bootstrap.txt pyproject.toml
	@sh scripts/setup.sh "$(PYTHON)" "$(VENV)"
	@touch $(STAMP)

demo: $(STAMP) ## a control plane on this machine, the examples applied, the result shown
	@$(BIN)/python -m sandbox.demo

test: $(STAMP) ## everything that CI runs
	@$(MAKE) --no-print-directory check tests tests-bounds

check: $(STAMP) ## format, lint, types, generated code, messages
	@$(BIN)/python scripts/check.py

tests: $(STAMP) ## the tests, those against the sandbox included
	@$(BIN)/python -m sandbox build
	@$(BIN)/python -m pytest -n 4 --dist loadgroup --no-loadscope-reorder

tests-bounds: $(STAMP) ## the pure tests with the oldest and the newest dependencies
	@$(BIN)/python scripts/bounds.py

bench: $(STAMP) ## measures how fast it is (ten minutes, on a quiet machine); writes docs/performance.md
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --require-hashes --requirement requirements/bench.txt
	@$(BIN)/python -m sandbox build
	@for name in start_up rendering cluster catalogue; do $(BIN)/python -m benchmarks.$$name --write || exit 1; done

reliability: $(STAMP) ## the tests of bad days with many random moments (a quarter of an hour); writes docs/reliability.md
	@$(BIN)/python -m sandbox build
	@$(BIN)/python scripts/reliability.py

gen: $(STAMP) ## makes gen/ from proto/
	@$(BIN)/python scripts/generate.py

format: $(STAMP) ## formats Python and proto files
	@$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix . && $(BIN)/buf format -w proto

examples: $(STAMP) ## writes the expected output of each example anew; read the diff before you commit it
	@PLANTON_WRITE_EXAMPLES=1 $(BIN)/python -m pytest -q tests/examples

# Not by $(STAMP): a changed pyproject.toml would first bring the environment back to the old locks.
lock: ## resolves the dependencies anew; `make sbom` belongs behind it
	@test -x $(BIN)/uv || $(MAKE) --no-print-directory setup
	@$(BIN)/python scripts/lock.py

sbom: $(STAMP) ## makes sbom/planton.cdx.json, the bill of materials, of the lock
	@$(BIN)/python -m scripts.sbom

audit: $(STAMP) ## compares the locks with the advisories of today (CI: with those that are kept here)
	@$(BIN)/python -m scripts.audit --online

fuzz: $(STAMP) ## looks for inputs that break something, for FUZZ_SECONDS (600); what it finds stays in .fuzz
	@$(BIN)/python -m tests.fuzz

sandbox: $(STAMP) ## leaves a control plane up and prints its kubeconfig
	@$(BIN)/python -m sandbox up

sandbox-down: $(STAMP) ## stops it
	@$(BIN)/python -m sandbox down

clean: ## removes what the above made in this folder; caches elsewhere stay
	@rm -rf $(VENV) .venv-* dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .fuzz
