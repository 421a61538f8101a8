# Each target sets up what it needs: Python packages in .venv, and Debian packages if this is root (or sudo asks
# nothing). `make` alone lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
unexport PYTHONDONTWRITEBYTECODE  # every process would compile all it imports: a fifth of the tests' CPU

# Both environment targets write to .venv.
.NOTPARALLEL:
.PHONY: help .venv demo check test lint guards bench drill-report clean

help:  ## list the targets
	@grep -hE '^[a-z.-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 10

.venv: .venv/.tools  ## the environment: .venv/bin/gslb, the test tools and the linters

.venv/.runtime: pyproject.toml .ci/venv
	PYTHON="$(PYTHON)" .ci/venv .venv
	$(PIP) install --editable .
	@touch $@

.venv/.tools: pyproject.toml .ci/venv
	PYTHON="$(PYTHON)" .ci/venv .venv
	$(PIP) install --editable '.[test,lint]'
	@touch .venv/.runtime $@

demo: .venv/.runtime  ## one edge and three regions on loopback, with things to try (Ctrl-C stops them)
	@$(BIN)/gslb demo

check: .venv/.runtime  ## check the configuration in regions/
	@$(BIN)/gslb check

lint: .venv/.tools  ## ruff, mypy --strict, the import contracts
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: .venv/.tools  ## every test; PYTEST="-k dns" narrows it
	.ci/apt redis-server:redis-server dig:bind9-dnsutils curl:curl ip:iproute2 ps:procps \
		nginx:nginx haproxy:haproxy wrk:wrk promtool:prometheus faketime:faketime
	$(BIN)/pytest -n 6 --dist loadfile --no-loadscope-reorder $(PYTEST)

guards: .venv/.tools  ## take out each guard of what must never happen, in a copy: a test must fail
	.ci/apt redis-server:redis-server
	$(BIN)/pytest -n 3 -m guards tests/repo/test_guards.py

bench: .venv/.tools  ## CPU time beside gdnsd, nginx and HAProxy; BENCH="--only dns" narrows it
	.ci/apt gdnsd:gdnsd nginx:nginx haproxy:haproxy dnsperf:dnsperf wrk:wrk taskset:util-linux
	$(BIN)/python tests/bench/run.py $(BENCH)

RUNS ?= 50
drill-report: .venv/.runtime  ## lose a region RUNS times in each way, and print percentiles; KINDS="kill,slow" narrows it
	.ci/apt redis-server:redis-server
	$(BIN)/gslb drill eu-west --many $(RUNS) --kinds $(or $(KINDS),all) --for 10s

clean:  ## remove the environment and everything that was generated
	rm -rf .venv .gslb build dist *.egg-info .coverage .cache
	find . -name __pycache__ -prune -exec rm -rf {} + -o -name '.*_cache' -prune -exec rm -rf {} +
