# The two commands of a newcomer are `make demo` and `make test`; both make .venv first.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
SOURCES := schemas producers processors actuators consoles tests benchmarks

.PHONY: venv demo lint test test-all bench clean

venv: .venv/.installed

.venv/.installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "holdfast needs Python 3.11 or newer; none found on PATH (set PYTHON=/path/to/python3.11)"; exit 2; }
	@echo "making .venv with $(PYTHON) and installing holdfast with its extras (a minute or two)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]' --group dev
	@touch $@

demo: venv
	@exec $(BIN)/holdfast demo $(ARGS)

lint: venv
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/lint-imports
	$(BIN)/mypy schemas/holdfast_schemas producers/holdfast_producers producers/holdfast processors/holdfast_processors actuators/holdfast_actuators consoles/holdfast_consoles

test: lint
	$(BIN)/pytest -n 2 -m "not long" $(ARGS)

test-all: lint
	$(BIN)/pytest -n 2 $(ARGS)
	HOLDFAST_TEST_POSTGRES=14 $(BIN)/pytest -n 2 tests/recovery $(ARGS)
	HOLDFAST_TEST_POSTGRES=16 $(BIN)/pytest -n 2 tests/recovery $(ARGS)

bench: venv
	$(BIN)/python -m benchmarks.reporter_cost
	$(BIN)/python -m benchmarks.state_size
	$(BIN)/python -m benchmarks.worker_throughput
	$(BIN)/python -m benchmarks.decision_latency
	$(BIN)/python -m benchmarks.stop_latency
	$(BIN)/python -m benchmarks.recovery
	$(BIN)/python -m benchmarks.capture
	$(BIN)/python -m benchmarks.undo
	$(BIN)/python -m benchmarks.undo_memory
	$(BIN)/python -m benchmarks.fence
	$(BIN)/python -m benchmarks.ledger_size
	$(BIN)/python -m benchmarks.soak --seconds 60

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
