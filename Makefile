# Two commands: `make demo` runs the whole method on this machine, `make test` runs the tests. Both set everything up.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CONSTRAINTS ?= constraints.txt
STUDIES := recipes/mini/studies
# runs at a time of the studies here
JOBS ?= 2

.PHONY: demo study test test-slurm lint format browser schema recipes constraints clean

demo: $(VENV)/.demo
	$(BIN)/zephyr run $(STUDIES)/table-3.yaml --jobs $(JOBS)

# The same over eight seeds, each with a world of its own.
study: $(VENV)/.demo
	$(BIN)/zephyr run $(STUDIES)/table-3-seeds.yaml --jobs $(JOBS)

test: $(VENV)/.dev browser
	$(BIN)/python -m pytest -n 2

# Installs Slurm where it can, starts two nodes of one on this machine, and stops them whatever happens.
test-slurm: $(VENV)/.dev
	tests/slurm/cluster.sh install
	trap 'tests/slurm/cluster.sh stop' EXIT; \
	  nodes=$$(tests/slurm/cluster.sh start) && eval "$$nodes" && $(BIN)/python -m pytest -v tests/slurm tests/launch/test_slurm.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[train,data,report]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[train,data,report,eval,deepspeed,qlora,dev]'
	@touch $@

# The report's page is opened in a real browser; without one that test is skipped.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  (apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium) >/dev/null 2>&1; } || \
	  echo "no Chromium found: the test that opens the report's page will be skipped"

schema: $(VENV)/.demo
	$(BIN)/zephyr schema -o recipes/recipe.schema.json

# The table of the recipes, from their headers and plans; a test fails when it is stale.
recipes: $(VENV)/.demo
	$(BIN)/python -m zephyr.catalogue recipes/README.md

# What `make` installs, pinned: run it after a change of bounds, then the tests.
constraints: $(VENV)/.dev
	$(BIN)/python -m pip list --format=freeze --exclude zephyr-recipes --exclude pip --exclude setuptools \
	  | sed 's/+cpu$$//' > constraints.txt

clean:
	rm -rf $(VENV) outputs build dist
