# Needs git, make, Python 3.11 or newer and a package index; everything else is set up on the way.
BIN := .venv/bin
SETUP_STAMP := .venv/.setup-done
PRODUCT := billing integrations zendesk github_issues app.py

.PHONY: help setup demo test bench eval fmt chromium

help:
	@echo "make demo    the whole way from ticket to receipt, on this machine, with no account anywhere"
	@echo "make test    format, lint, types, import rules, then every test (PostgreSQL and Chromium included)"
	@echo "make bench   the measurements under tests/bench"
	@echo "make eval    how well tickets are read: make eval FILE=tickets.jsonl"
	@echo "make fmt     format the code and mend what ruff can mend"
	@echo "make setup   only the set-up that the others do by themselves"

setup: $(SETUP_STAMP)

$(SETUP_STAMP): pyproject.toml uv.lock deploy/dev/setup
	deploy/dev/setup
	@touch $@

chromium: $(SETUP_STAMP)
	@$(BIN)/python tests/support/testkit/chromium.py

demo: $(SETUP_STAMP)
	$(BIN)/billing-desk demo

test: $(SETUP_STAMP) chromium
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict $(PRODUCT) tests/support/testkit
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --dist worksteal tests/billing --cov=billing --cov-branch --cov-report=term-missing:skip-covered
	$(BIN)/pytest -n 2 --dist worksteal --ignore=tests/billing

bench: $(SETUP_STAMP)
	$(BIN)/pytest tests/bench -s -o python_files='bench_*.py test_*.py' -o timeout=0

eval: $(SETUP_STAMP)
	$(BIN)/python -m deploy.eval.evaluate $(FILE) --states

fmt: $(SETUP_STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
