# `make run` and `make test` need a bare Python 3.11 or later and nothing else.
DATA ?= data/demonstration
JOBS ?= 2

.PHONY: install run test foreign machine lint bench

install: ## what is needed to run, in .venv
	@scripts/bootstrap

run: install ## the demonstration, which then keeps serving
	.venv/bin/hygie demo --stay --data $(DATA)

foreign: ## an unrelated FHIR store and an unrelated age, for one test; left out where there is no npm
	@cd tests/foreign && if command -v npm >/dev/null && [ package-lock.json -nt node_modules/.package-lock.json ]; \
	then npm ci --ignore-scripts --no-audit --no-fund --silent; fi

machine: ## a real sshd and sudo, for the tests of interventions; left out where they cannot be installed
	@scripts/test-packages

test: install foreign machine ## every test, on $(JOBS) processes
	.venv/bin/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

lint: install ## style and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: install ## the figures of docs/performance.md
	@set -e; for each in benchmarks/bench_*.py; do echo "== $$each"; .venv/bin/python -m "benchmarks.$$(basename "$$each" .py)"; done
