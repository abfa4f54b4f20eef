# Everything lives in .venv; `make serve` and `make test` need only Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests wait for sockets and time limits as much as they work: one more at once than there are cores.
WORKERS := $(shell $(PYTHON) -c "import os; print((os.cpu_count() or 1) + 1)")

# Without compiled files every process that a test starts would compile all of the project, and every worker all tests.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: serve test test-services check format setup bench autobahn clean

serve: setup
	$(BIN)/chinwag serve $(ARGS)

# Needs nothing but this checkout: pyproject.toml leaves out what test-services runs. A worker that has nothing left to do
# takes from another, so no file has to be short.
test: setup
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal $(ARGS)

# What needs a browser or real services, or is long: Hypothesis tries its properties with twelve times as many examples.
# A test whose service is not there is skipped, and says what it needs.
SERVICES := browser or services or postgres or hypothesis
test-services: setup $(VENV)/.services
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile -m "$(SERVICES)" --hypothesis-profile=long $(ARGS)

# Chinwag and its peers on the same work, with medians and ratios; installs the peers first. Takes some twenty minutes.
bench: setup
	$(BIN)/chinwag bench compare $(ARGS)

# The WebSocket conformance suite Autobahn|Testsuite, which needs Python 2.7; takes some minutes.
PYTHON2 ?= python2.7
autobahn: setup
	$(PYTHON2) -m pip install --quiet --disable-pip-version-check --target .autobahn -r tests/autobahn/requirements.txt
	$(BIN)/python tests/autobahn/run.py $(PYTHON2) .autobahn

# Formatter, linter and the strict type checker.
check: setup stubs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy -p chinwag
	$(BIN)/mypy tests examples examples/irc.py

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade -c constraints.txt pip setuptools wheel
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[dev]'
	touch $@

$(VENV)/.services: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[dev,services]'
	touch $@

# A type checker does not follow package-dir mappings: these links give it `chinwag.engine` and so on.
.PHONY: stubs
stubs:
	mkdir -p .stubs/chinwag
	for part in engine http persistence benchmarks; do ln -sfn ../../$$part .stubs/chinwag/$$part; done

clean:
	rm -rf $(VENV) .autobahn .stubs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
