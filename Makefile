# make demo   the main job, from handwriting to the LCD picture
# make test   lint, strict types, tests
# make docs   the user's guide and all documents as web pages, in build/docs
# All make their own environment in .venv and need nothing but Python 3.11 to 3.13 beforehand.

PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif

.PHONY: demo test docs clean

demo: $(VENV)/base.stamp
	$(BIN)/picodigits demo --out demo

test: $(VENV)/dev.stamp
	$(BIN)/ruff check src tests benchmarks notebooks
	$(BIN)/ruff format --check src tests benchmarks notebooks
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist worksteal

docs: $(VENV)/dev.stamp
	$(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs
	@echo "Open build/docs/index.html"

clean:
	rm -rf $(VENV) demo build .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/base.stamp: pyproject.toml
	$(PYTHON) -c "import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f'Python: got {v[0]}.{v[1]}, need 3.11 or newer. Try: make PYTHON=python3.12')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[bench]"
	$(BIN)/python -c "import pathlib; pathlib.Path('$@').touch()"

$(VENV)/dev.stamp: $(VENV)/base.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	$(BIN)/python -c "import pathlib; pathlib.Path('$@').touch()"
