# Two habits: `make check` and `make test`. `make run` starts the network. Everything installs itself into .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(VENV)/tools/bin/uv
STAMP  := $(VENV)/.synced

.PHONY: run check test bench format clean

run: $(STAMP)
	@$(BIN)/parley up || [ $$? -eq 130 ]

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q tests/architecture

test: $(STAMP)
	$(BIN)/pytest -q

bench: $(STAMP)
	@$(BIN)/python benchmarks/footprint.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# uv lives in an environment of its own, because `uv sync` takes out of .venv what the lock does not name.
$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Parley needs Python 3.11 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	@echo "Making the environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PYTHON) -m venv $(VENV)/tools
	@$(VENV)/tools/bin/pip install --quiet --disable-pip-version-check "uv>=0.9,<1"

$(STAMP): $(UV) uv.lock pyproject.toml
	@$(UV) sync --frozen --quiet --extra postgres
	@touch $(STAMP)
