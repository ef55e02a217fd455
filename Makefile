# Two targets do everything on a fresh machine: `make tune` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# the tests start hundreds of programs: where this is set, each of them would compile every module that it imports
unexport PYTHONDONTWRITEBYTECODE

.PHONY: tune test docs checks lint types unit slow tensorflow coverage oldest bench sanitize fuzz torture clean axe

$(VENV)/.for-tune: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e ".[tune,plot]"
	touch $@

# the kernels compile while the packages arrive; Python compiles those modules that are imported
$(VENV)/.for-test: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(MAKE) -j 2 $(VENV)/.compiled $(VENV)/.packages
	touch $@

$(VENV)/.compiled: pyproject.toml constraints.txt
	env -u MAKEFLAGS -u MFLAGS $(PIP) --no-deps -e .
	touch $@

$(VENV)/.packages: pyproject.toml constraints.txt
	$(BIN)/python packaging/requirements.py test > $(VENV)/requirements.txt
	$(PIP) --no-compile -r $(VENV)/requirements.txt
	touch $@

# The main job on the embedded data set (or: make tune FILE=table.csv TARGET=column).
tune: $(VENV)/.for-tune
	$(BIN)/focalkit tune $(FILE) $(if $(TARGET),--target $(TARGET)) --html report.html --json report.json

# mypy keeps to one core: the tests begin beside it
test: $(VENV)/.for-test
	$(MAKE) -j 2 checks unit

checks: lint types

lint: $(VENV)/.for-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/clang-format --dry-run --Werror $$(find cpp tests/cpp -name '*.[hc]pp')

types: $(VENV)/.for-test
	$(BIN)/mypy

unit: $(VENV)/.for-test
	$(BIN)/python -m pytest -n 3 --dist worksteal --durations=20

# What takes long, before a release: the tests marked slow, the laws on many more examples, brute force on decisions,
# ten minutes of fuzzing.
slow: $(VENV)/.for-test
	$(BIN)/python -m pytest -n 2 -m slow tests
	HYPOTHESIS_PROFILE=slow $(BIN)/python -m pytest -n 2 tests/laws
	$(BIN)/python benchmarks/decide.py brute --cases 100000
	$(MAKE) tensorflow
	$(MAKE) fuzz FUZZ=1200
	$(MAKE) torture
	$(MAKE) docs

# The Keras losses on TensorFlow, which has an environment of its own: half a gigabyte that nothing else needs.
tensorflow:
	$(PYTHON) -m venv build/tensorflow
	grep -v '^h5py==' constraints.txt > build/tensorflow/constraints.txt  # TensorFlow wants an older one
	build/tensorflow/bin/python -m pip install --quiet --disable-pip-version-check -c build/tensorflow/constraints.txt -e ".[keras]" tensorflow-cpu pytest hypothesis mpmath
	build/tensorflow/bin/python -m pytest -p no:cacheprovider tests/keras -k tensorflow

coverage: $(VENV)/.for-test
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term --cov-report=html:build/coverage

# The oldest versions that pyproject.toml allows, where they can be had without a GPU's gigabytes: all but the frameworks.
oldest:
	$(PYTHON) -m venv build/oldest
	build/oldest/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-oldest.txt -e ".[tune,plot,io]" pytest hypothesis mpmath ml_dtypes pandas
	build/oldest/bin/python -m pytest -p no:cacheprovider tests/laws tests/golden tests/diagnosis tests/tuning tests/test_*.py -W default

# The site, in both languages, into build/site: the examples of the gallery are run; a warning is an error.
docs: $(VENV)/.for-test
	$(PIP) -e ".[docs]"
	cd docs && $(abspath $(BIN))/python -m sphinx -W --keep-going -q -b html . ../build/site
	@echo "open build/site/index.html"

# Ours beside the peers, interleaved; an idle machine, please. Peers that are not installed are named and skipped.
bench: $(VENV)/.for-test
	$(BIN)/python benchmarks/cpu.py
	$(BIN)/python benchmarks/accuracy.py

# The kernels under the address and undefined-behaviour sanitizers: a short fuzz, or FUZZ=600 for a long one.
FUZZ ?= 20
sanitize: $(VENV)/.for-test
	$(PIP) nanobind cmake ninja
	PATH="$(abspath $(BIN)):$$PATH" PYTHON=$(abspath $(BIN))/python tests/fuzz/sanitize.sh tests/fuzz/fuzz_cpu.py --seconds $(FUZZ)

# FUZZ seconds each of: arrays, tensors and files as installed; the kernels under the address sanitizer; threads, the pool
# and changes of the number of threads under the thread sanitizer. What fails goes into tests/fuzz/seeds.txt.
fuzz: sanitize
	$(BIN)/python tests/fuzz/fuzz_cpu.py --seconds $(FUZZ)
	PATH="$(abspath $(BIN)):$$PATH" PYTHON=$(abspath $(BIN))/python FOCALKIT_SANITIZER=thread \
		tests/fuzz/sanitize.sh tests/fuzz/fuzz_cpu.py --threads --seconds $(FUZZ)

# Programs killed at so many moments, full disks, cut journals: what follows is equal bit for bit, or refused in a line.
COUNT ?= 1000
torture: $(VENV)/.for-test
	$(BIN)/python tests/torture/torture.py --count $(COUNT)
	FOCALKIT_LEAK_CALLS=1000000 $(BIN)/python -m pytest -q tests/engines/test_reliability.py -k memory_does_not_grow

# The pages under axe-core, which is no part of this project: npm fetches it into node_modules.
axe: $(VENV)/.for-test
	npm install --no-save --no-audit --no-fund axe-core@4.14.1
	$(BIN)/python -m pytest tests/page -k axe

clean:
	rm -rf $(VENV) build dist report.html report.json
