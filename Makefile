# The project's own tasks. Each installs what it needs, says so, and can be run again.
#   make demo [DEMO="--once --embedded --no-install"]    the whole way from an order to its alert
#   make check     style, types, drift of the generated files
#   make test      all of it, and every test: what CI runs
#   make bench [BENCH=NAME]     every figure of the README, each beside its peer
#   make soak      the long runs: many kills, many orders

VENV ?= .venv
PYTHON ?= python3
DEMO ?=
BENCH ?=
TESTS ?= tests
BIN := $(VENV)/bin
export PYTHONPATH := examples
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo check test bench soak generate scenarios conformance constraints clean
.DELETE_ON_ERROR:

demo: $(VENV)/demo
	@exec $(BIN)/python -m shop.demo $(DEMO)

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/otelkit generate examples/shop/sla.yaml -o . --check
	$(BIN)/python docs/reference.py --check

# GOGC: promtool takes a third of the time, and a seventh of that to collect garbage.
test: check $(VENV)/servers
	GOGC=400 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(TESTS)

bench: $(VENV)/servers
	PYTHONPATH=.:examples $(BIN)/python -m bench $(BENCH)

soak: $(VENV)/servers
	$(BIN)/pytest -m soak $(TESTS)

# What follows from the shop's SLA file (alert_rules/, proofs/, dashboards/, collectors/) and from
# the names in the code (docs/metrics.md).
generate: $(VENV)/dev
	$(BIN)/otelkit generate examples/shop/sla.yaml -o .
	$(BIN)/python docs/reference.py

# docs/scenarios.md: when otelkit's rules fire, and when the classic ones do. Some two minutes.
scenarios: $(VENV)/servers
	PYTHONPATH=examples:tests $(BIN)/python tests/scenarios.py

# The table of docs/pika.md: what otelkit does with pika, and what OpenTelemetry's own does.
conformance: $(VENV)/servers
	PYTHONPATH=examples:tests $(BIN)/python tests/conformance.py

# Resolves every dependency anew, to the newest versions that pyproject.toml allows.
constraints:
	rm -rf build/constraints
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/python -m pip install -q --upgrade pip
	build/constraints/bin/python -m pip install -q -e '.[all]' --group dev
	build/constraints/bin/python -m pip freeze --all --exclude-editable | sort -f > constraints.txt

clean:
	rm -rf $(VENV) build dist

# An environment, and a mark in it for each set of packages that it holds.
$(VENV)/pip: constraints.txt
	@$(PYTHON) -m venv $(VENV) || { echo "make: Python cannot make an environment here;" \
	  "install python3-venv (apt-get install python3-venv) and run make again" >&2; exit 1; }
	$(BIN)/python -m pip install -q --upgrade 'pip>=25.1' -c constraints.txt
	@touch $@

$(VENV)/demo: pyproject.toml $(VENV)/pip
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[all]' --group demo
	@touch $@

$(VENV)/dev: pyproject.toml $(VENV)/pip
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[all]' --group dev
	@touch $@ $(VENV)/demo

$(VENV)/servers: examples/shop/packages.py $(VENV)/dev
	$(BIN)/python -m shop.packages
	@touch $@
