# `make demo` and `make test` start from nothing but Python 3.11-3.13; everything lands in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/.runs
STAMP := $(VENV)/.installed

# Processes that share the tests, each with one torch thread.
WORKERS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.PHONY: demo test test-fast test-all test-app docs docs-test faults lint clean

# Generates crowd scenes, learns to count in them, tests the best checkpoint, and draws what was learnt.
DEMO := work_dirs/sample_ean_se
BEST = $$(ls $(DEMO)/best_mae_iter_*.pth)
demo: $(RUNS) data/sample_counting
	$(BIN)/ean check sample_ean_se
	$(BIN)/ean train sample_ean_se --work-dir $(DEMO) --resume
	$(BIN)/ean test sample_ean_se $(BEST) --work-dir $(DEMO)/test --out $(DEMO)/metrics.json
	@echo "pictures: $(DEMO)/test/pictures, curve: $(DEMO)/curve.png, metrics: $(DEMO)/metrics.json"
	@echo "count in an image of your own: $(BIN)/ean predict $(BEST) IMAGE --out predictions"
	@echo "(it has seen drawings only; ean models list says which counters know photographs)"

data/sample_counting: $(RUNS)
	@if [ -d $@ ]; then touch $@; else $(BIN)/ean scenes counting $@ --images 120 --seed 0; fi

test: $(STAMP)
	$(PYTEST) -m "not all_cards and not docs"

# Less than a minute, for between two edits.
test-fast: $(STAMP)
	$(PYTEST) -m "not slow and not all_cards and not docs"

# Every registered backbone, not one of each kind.
test-all: $(STAMP)
	$(PYTEST) -m "not docs"

# The page, which wants older versions of what the others share: hence an environment of its own.
test-app: .venv-app/.installed
	OMP_NUM_THREADS=1 .venv-app/bin/python -m pytest tests/app -m app

.venv-app/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-app
	.venv-app/bin/python -m pip install --quiet --upgrade "pip>=23.2" "setuptools<81"
	.venv-app/bin/python -m pip install -e ".[lite,app]" "pytest>=8" "filelock>=4.2" playwright
	touch $@

# The documentation as a site, build/docs/docs/index.html; every warning is an error.
docs: $(VENV)/.docs
	$(BIN)/sphinx-build -W --keep-going -q -b html -c docs . build/docs
	@echo "the pages: build/docs/docs/index.html"

# Runs what the pages say, at tiny size.
docs-test: $(STAMP)
	$(PYTEST) tests/docs/test_pages_run.py

$(VENV)/.docs: $(STAMP)
	$(BIN)/python -m pip install -e ".[docs]"
	touch $@

# Real small runs are killed 20 times each, and struck by other faults: results/reliability/faults.md, after hours.
faults: $(STAMP)
	$(BIN)/python -m tests.faults --kills 20

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# What counting needs; and what the tests, segmentation and the searches need too.
$(RUNS): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=23.2" "setuptools<81"
	$(BIN)/python -m pip install -e .
	touch $@

$(STAMP): $(RUNS)
	$(BIN)/python -m pip install -e ".[lite,dev]"
	touch $@

clean:
	rm -rf $(VENV) .venv-app build *.egg-info .pytest_cache .ruff_cache .mypy_cache
