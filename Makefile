# Every target starts from nothing: it makes .venv and installs gnexp there when that is missing or out of date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := runs_dir=demo/runs results_dir=demo/results
ARGS ?=
# On every core that is granted; tests/conftest.py says what stays together and comes first.
PARALLEL := -n auto --no-loadscope-reorder
N ?= 100
BUDGET ?= 480
OUT ?=
COMMIT ?=
REHEARSAL := build/gpu-rehearsal

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow test-gpu gpu gpu-rehearsal soak check sweep report bench golden clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  PYTHON=python3.12 chooses the interpreter of a new .venv; ARGS='norm=gn ...' goes to sweep, report, test and soak."

install: $(STAMP) ## .venv with gnexp (editable) and its tools

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
		|| { echo "gnexp needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@echo "installing gnexp and what it needs into $(VENV) (torch is large: minutes on a slow line)"
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(STAMP) ## the paper's Figure 1 in miniature, a generated regime, trained here, into demo/
	$(BIN)/gnexp sweep experiment=batch_size scale=demo batch=32,2 seeds=1 $(DEMO)
	$(BIN)/gnexp report $(DEMO)
	@echo
	@awk '/^## How/ {exit} {print}' demo/results/tables/table2_demo.md
	@echo "all of it, and how it differs from the paper's setting: $(CURDIR)/demo/results/report.html"
	@echo "figure: $(CURDIR)/demo/results/figures/figure1_demo.png"

# Hundreds of processes start in the tests: where no bytecode is kept, each compiles gnexp anew.
test test-slow: export PYTHONDONTWRITEBYTECODE =

test: $(STAMP) ## the tests, in minutes (without those marked slow or data; those marked gpu are skipped without one)
	$(BIN)/python -m pytest -q $(PARALLEL) $(ARGS)

test-slow: $(STAMP) ## the tests marked slow: whole grids, kills at random moments, machine code, submitit
	$(BIN)/python -m pytest -q -m "slow and not data" $(PARALLEL) $(ARGS)

test-gpu: $(STAMP) ## the tests marked gpu, on a machine that has one
	TRITON_INTERPRET=0 $(BIN)/python -m pytest -q -m gpu $(ARGS)

gpu: ## all that a GPU can tell, in BUDGET=480 seconds, into OUT; installs nothing (docs/gpu.md)
	$(PYTHON) benchmarks/gpu --budget $(BUDGET) $(if $(OUT),--out "$(OUT)") $(if $(COMMIT),--commit $(COMMIT)) $(ARGS)

gpu-rehearsal: $(STAMP) ## the same on the CPU, tiny
	$(BIN)/python benchmarks/gpu --device cpu --out $(REHEARSAL) --budget $(BUDGET) $(ARGS)

soak: $(STAMP) ## kills N=100 runs at random moments and counts those that end equal to an undisturbed one
	$(BIN)/python scripts/soak.py --runs $(N) $(ARGS)

check: $(STAMP) ## style, types, import floors, and that results/ is what the program renders
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/gnexp report --check

sweep: $(STAMP) ## every run of experiment=batch_size at demo scale that has no result yet
	$(BIN)/gnexp sweep $(ARGS)

report: $(STAMP) ## tables and figures from finished runs, into results/
	$(BIN)/gnexp report $(ARGS)

bench: $(STAMP) ## the benchmarks of this machine
	@for file in benchmarks/bench_*.py; do echo "$$file"; $(BIN)/python "$$file" || exit 1; done

golden: $(STAMP) ## renews the list of run_ids that tests/contracts holds, after a new experiment or cell
	@$(BIN)/python -m scripts.golden_ids

clean: ## removes .venv, demo/, caches and builds; keeps runs/ and results/
	rm -rf $(VENV) demo build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
