# Parley: `make run` to try it, `make test` before you send a change. `make help` lists the rest.

PORT ?=
ARGS ?=
SECONDS ?=
SEED ?=
ifneq ($(PORT),)
export PORT
endif

VENV := .venv
BIN := $(VENV)/bin
# Twice quiet: notes of pip on its own configuration are not ours to show.
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --requirement
# The first Python that is new enough and can make a virtual environment.
FIND_PYTHON = for python in "$$PYTHON" python3.13 python3.14 python3.12 python3 python; do \
	[ -n "$$python" ] && "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 12))' \
	2>/dev/null && { echo "$$python"; break; }; done

.DEFAULT_GOAL := help
.PHONY: help bench run test faults faults-in-short lint format demo-link clean port

help:
	@echo "make run        start Parley on http://localhost:8000 (PORT=9000 make run moves it)"
	@echo "make demo-link  print a fresh invitation for the demo"
	@echo "make test       run every test (ARGS='-k budget' picks some)"
	@echo "make faults     break servers, Redis, PostgreSQL and the model while people talk (SECONDS=600 SEED=1)"
	@echo "make faults-in-short  the quick part of that, a few minutes"
	@echo "make bench      measure against a bare relay (20 minutes; ARGS='chunks first' picks some)"
	@echo "make lint       check style, types, templates and migrations"
	@echo "make format     bring code and templates into shape"
	@echo "make clean      remove the virtual environment and caches, but no data"

run: port $(VENV)/run.stamp
	@$(BIN)/python manage.py serve

demo-link: $(VENV)/run.stamp
	@$(BIN)/python manage.py demo_link

test: $(VENV)/dev.stamp
	@$(BIN)/python -m pytest $(ARGS)

# SECONDS of random faults, SEED to repeat them, ARGS to pick tests.
faults: $(VENV)/dev.stamp
	@SECONDS=$(SECONDS) SEED=$(SEED) $(BIN)/python -m pytest e2e/faults -m faults $(ARGS)

# What .ci/run takes of it: a few minutes.
faults-in-short: $(VENV)/dev.stamp
	@SECONDS=15 SEED=$(SEED) $(BIN)/python -m pytest e2e/faults -m "faults and not slow" $(ARGS)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy .
	git ls-files -z 'templates/*.html' '*/templates/*.html' | xargs -0 -r $(BIN)/djade --target-version 6.1 --check
	$(BIN)/python manage.py makemigrations --check --dry-run

bench: $(VENV)/dev.stamp
	@$(BIN)/python -m benchmarks $(ARGS)

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	git ls-files -z 'templates/*.html' '*/templates/*.html' | xargs -0 -r $(BIN)/djade --target-version 6.1

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# Before anything slow: is the port free?
port:
	@python=$$($(FIND_PYTHON)); [ -z "$$python" ] || "$$python" config/ports.py

$(BIN)/python:
	@python=$$($(FIND_PYTHON)); \
	if [ -z "$$python" ]; then \
		echo "Parley needs Python 3.12 or newer, with its venv module (on Debian: python3-venv)."; \
		echo "None was found. Install one, or name it: PYTHON=/path/to/python3.13 make run"; \
		exit 1; \
	fi; \
	echo "  Python        $$("$$python" -c 'import platform; print(platform.python_version())') in $(VENV)"; \
	"$$python" -m venv --clear $(VENV)

$(VENV)/run.stamp: requirements.txt | $(BIN)/python
	@echo "  Packages      installing (a minute, the first time)"
	@$(PIP) requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt requirements.txt | $(BIN)/python
	@echo "  Packages      installing, with those for tests"
	@$(PIP) requirements-dev.txt
	@touch $(VENV)/run.stamp $@
