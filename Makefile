# Two targets do everything on a fresh machine: `make tune` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: tune test lint types unit clean

$(VENV)/.for-tune: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e ".[tune,plot]"
	touch $@

$(VENV)/.for-test: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e ".[test]"
	touch $@

# The main job on the embedded data set (or: make tune FILE=table.csv TARGET=column).
tune: $(VENV)/.for-tune
	$(BIN)/focalkit tune $(FILE) $(if $(TARGET),--target $(TARGET)) --html report.html --json report.json

test: lint types unit

lint: $(VENV)/.for-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(VENV)/.for-test
	$(BIN)/mypy

unit: $(VENV)/.for-test
	$(BIN)/python -m pytest -n 2

clean:
	rm -rf $(VENV) build dist report.html report.json
