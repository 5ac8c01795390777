# Needs git, make, Python 3.11 or newer and a package index; everything else is set up on the way.
BIN := .venv/bin
SETUP_STAMP := .venv/.setup-done
PRODUCT := billing integrations zendesk github_issues app.py

# Half the tests start processes: each of them would compile the product anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test bench chaos eval fmt gallery chromium properties mutate zcli

help:
	@echo "make demo    the whole way from ticket to receipt, on this machine, with no account anywhere"
	@echo "make test    format, lint, types, import rules, then every test (PostgreSQL and Chromium included)"
	@echo "make bench   the measurements under tests/bench"
	@echo "make chaos   hundreds of kills and database crashes, then the vendors' books are checked"
	@echo "make eval    how well tickets are read: make eval FILE=tickets.jsonl"
	@echo "make properties  every property of the core with 10,000 histories (about half an hour)"
	@echo "make mutate  breaks plan, guard, money and identity in 600 ways; the tests must see 85 % of them"
	@echo "make gallery  a picture of every state of the sidebar: make gallery (into tests/screens)"
	@echo "make fmt     format the code and mend what ruff can mend"
	@echo "make zcli    Zendesk's own tool checks our app package (needs node)"
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
	$(BIN)/pytest -n 4 --dist worksteal --ignore=tests/billing --durations=12

bench: $(SETUP_STAMP)
	$(BIN)/pytest tests/bench -s -o python_files='bench_*.py test_*.py' -o timeout=0

chaos: $(SETUP_STAMP)
	$(BIN)/pytest tests/bench -s -o python_files='chaos_*.py' -o timeout=0

eval: $(SETUP_STAMP)
	$(BIN)/python -m deploy.eval.evaluate $(FILE) --states

properties: $(SETUP_STAMP)
	HYPOTHESIS_PROFILE=long $(BIN)/pytest -n 2 -o timeout=0 tests/billing/test_properties.py \
		tests/billing/test_properties_history.py tests/billing/test_injections.py

# What is broken and by which tests it is looked for stands in pyproject.toml, [tool.mutmut].
mutate: $(SETUP_STAMP)
	rm -rf mutants
	$(BIN)/mutmut run --max-children 2
	$(BIN)/mutmut export-cicd-stats
	$(BIN)/python deploy/dev/mutation_score mutants/mutmut-cicd-stats.json 85

gallery: $(SETUP_STAMP) chromium
	PYTHONPATH=tests/support $(BIN)/python -m tests.zendesk.gallery $(or $(OUT),tests/screens)

fmt: $(SETUP_STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

zcli: $(SETUP_STAMP)
	$(BIN)/python deploy/dev/zcli
