# Two habits: `make check` and `make test`. `make run` starts the network. Everything installs itself into .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(VENV)/tools/bin/uv
STAMP  := $(VENV)/.synced

.PHONY: run check test chaos bench interop format clean

run: $(STAMP)
	@$(BIN)/parley up || [ $$? -eq 130 ]

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q tests/architecture

test: $(STAMP)
	$(BIN)/pytest -q -n auto --dist loadfile

# Kill and freeze processes at random for minutes; a failure names its seed. `make test` does it for seconds.
CHAOS_SECONDS ?= 120
CHAOS_SEEDS ?= $(shell shuf -i 1-999999 -n 3 | xargs)
chaos: $(STAMP)
	CHAOS_SECONDS=$(CHAOS_SECONDS) CHAOS_SEEDS="$(CHAOS_SEEDS)" $(BIN)/pytest -s tests/e2e/test_chaos.py

bench: $(STAMP)
	@$(BIN)/python -m benchmarks.run

# Against the official SDK, 1.x and 0.3, each in an environment and process of its own.
interop: $(STAMP)
	@$(BIN)/python -m benchmarks.environments sdk-all sdk03
	PEERS_DIR=.venv-peers $(BIN)/pytest -q tests/interop

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

# The build writes the gRPC messages from the proto file.
$(STAMP): $(UV) uv.lock pyproject.toml hatch_build.py a2a/grpc/a2a.proto
	@$(UV) sync --frozen --quiet --extra postgres --extra grpc
	@touch $(STAMP)
