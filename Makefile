# Every target makes .venv when it is missing, and brings it up to date after a change of the two files it comes from.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

# The first of these that is Python 3.11 or newer; another one: make PYTHON=/path/to/python
PYTHON ?= $(firstword $(foreach python,python3 python3.14 python3.13 python3.12 python3.11 python, \
	$(shell command -v $(python) >/dev/null && $(python) -c '$(RECENT)' 2>/dev/null && echo $(python))))
RECENT := import sys; sys.exit(sys.version_info < (3, 11))

.PHONY: help figures check test lab clean
.DELETE_ON_ERROR:

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

figures: $(READY)  ## run every notebook and gather its figures and claims in figures/
	$(BIN)/gncompanion reproduce --jobs 2

check: $(READY)  ## style, types and the fast tests, in less than two minutes
	$(STYLE_AND_TYPES)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile -m "not slow" tests

test: $(READY)  ## style, types, tests and notebooks
	$(STYLE_AND_TYPES)
	OMP_NUM_THREADS=1 $(BIN)/pytest --nbval -n 2 --dist loadfile

define STYLE_AND_TYPES
$(BIN)/ruff check
$(BIN)/ruff format --check
$(BIN)/mypy
endef

lab: $(READY)  ## the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks/00_start_here.ipynb

clean:  ## remove what builds and tests leave behind; .venv, data/ and figures/ stay
	rm -rf build dist .pytest_cache .ruff_cache .mypy_cache *.egg-info
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): $(BIN)/python pyproject.toml constraints.txt
	@$(BIN)/python -c '$(RECENT)' || { echo "$(VENV) has a Python older than 3.11: remove it" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode \
		--constraints constraints.txt --build-constraints constraints.txt --editable '.[train,metrics,notebooks,lab,scale,test]'
	touch $@

$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'no Python 3.11 or newer found: make PYTHON=/path/to/python' >&2; exit 1; }
	@$(PYTHON) -c '$(RECENT)' || { echo 'Python 3.11 or newer is needed; $(PYTHON) is not: make PYTHON=/path/to/python' >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
