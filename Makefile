# `make run` and `make test` need a bare Python 3.11 or later and nothing else.
DATA ?= data/demonstration
JOBS ?= 2

.PHONY: install run test lint bench

install: ## what is needed to run, in .venv
	@scripts/bootstrap

run: install ## the demonstration, which then keeps serving
	.venv/bin/hygie demo --stay --data $(DATA)

test: install ## every test, on $(JOBS) processes
	.venv/bin/pytest -n $(JOBS)

lint: install ## style and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: install ## the figures of docs/performance.md
	@set -e; for each in benchmarks/bench_*.py; do echo "== $$each"; .venv/bin/python -m "benchmarks.$$(basename "$$each" .py)"; done
