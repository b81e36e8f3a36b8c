# Every target makes .venv first, which takes no time when nothing changed.
# Python to build it with: `make up PYTHON=/path/to/python3.12`

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup up demo test check bench lock clean

help:
	@echo "make up     set up and run everything; Ctrl-C stops it"
	@echo "make demo   a one-minute guided show on the running system's own servers"
	@echo "make test   set up and run every test"
	@echo "make check  lint, types, rooms, stale documents"
	@echo "make bench  measure, print a table (make bench ARGS=--quick)"
	@echo "make setup  only make .venv"
	@echo "make lock   pin the dependencies anew"
	@echo "make clean  remove .venv and caches; state in MUSTER_HOME stays"

setup: $(STAMP)
	@echo "ready: .venv is up to date"

$(STAMP): requirements.txt pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { echo "No $(or $(PYTHON),python3) found: install Python 3.11 or later (Debian: apt install python3 python3-venv)."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) -V 2>&1), and Muster needs 3.11 or later: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make a venv: install its venv module (Debian: apt install python3-venv), or make PYTHON=/path/to/another"; exit 1; }
	@test -x $(BIN)/python && $(BIN)/python -c '' 2>/dev/null || { rm -rf .venv; $(PYTHON) -m venv .venv; }
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv || { $(CANNOT); }
	@echo "Installing into .venv (the first time, this downloads the servers) …"
	@# Compiled once: every command and every test starts in half the time, also where Python may not write bytecode.
	@$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.txt || { $(CANNOT); }
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps -e . || { $(CANNOT); }
	@touch $@

CANNOT = echo "Muster's packages cannot be installed, see above: is there a network? For an index of your own, set PIP_INDEX_URL and UV_DEFAULT_INDEX." >&2; exit 1

# The venv's own uv, blind to any other project's or machine's configuration of the workspace above.
UV = $(BIN)/python -m uv

up: $(STAMP)
	@exec $(BIN)/muster up

demo: $(STAMP)
	@exec $(BIN)/muster demo

# As many at a time as tests/conftest.py finds the machine good for, which also says (by 75) whether others took so much
# of it that what failed is to be asked once more, alone. With bytecode, whatever the environment says: the tests start
# hundreds of processes, and each would compile all that it imports.
test: export PYTHONDONTWRITEBYTECODE =
test: $(STAMP)
	@$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder; code=$$?; \
	test $$code -eq 75 || exit $$code; exec $(BIN)/pytest --last-failed -n 0

check: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest tests/checks -q

bench: $(STAMP)
	@exec $(BIN)/python -m benchmarks $(ARGS)

# Hashes of every platform's files, so one list serves all; no index lines, so the installer's own applies.
LOCK = $(UV) pip compile --quiet --python $(BIN)/python --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-header --no-emit-index-url --no-emit-find-links

lock: $(STAMP)
	$(LOCK) pyproject.toml --extra embedded --group dev --output-file requirements.txt
	$(LOCK) pyproject.toml --constraint requirements.txt --output-file requirements-server.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
