# `make demo` and `make test` are all a newcomer needs: each makes .venv when it is missing.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3,$(shell \
	$(name) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && echo $(name))))

.PHONY: help .venv demo test test-fast test-long test-fuzz test-browser test-all lint format app docs clean

help:
	@echo 'make demo      render a word, read it back, write demo/index.html'
	@echo 'make test      lint, fast tests and longer ones, a short fuzz, the app in a browser'
	@echo 'make test-all  the same and the slow tests'
	@echo 'make app       the web page'
	@echo 'make docs      the documentation as a site, in site/'
	@echo 'make lint      formatting, style, import direction, types'
	@echo 'make format    what lint would have formatted'
	@echo 'make .venv     only the environment'

.venv: $(VENV)/.installed

# The stamps are written last, so an environment whose making was cut short is made anew.
$(VENV)/.locked: requirements.lock
	@[ -n '$(PYTHON)' ] || { echo 'SignLoop needs Python 3.11 or 3.12; neither was found on PATH.' >&2; exit 1; }
	@echo 'Making $(VENV) with $(PYTHON): some 8 GB of packages, a few minutes.'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# A word of German Sign Language, of which neither the renderer nor the recognizer has seen a letter.
WORD ?= SIGN
LANGUAGE ?= gsg

demo: $(VENV)/.installed
	@rm -rf demo
	@words=$$(mktemp -d); trap 'rm -rf "$$words"' EXIT; cd "$$words"; \
	echo '$$ signloop spell $(WORD) $(WORD).npz --language $(LANGUAGE)'; \
	'$(CURDIR)/$(BIN)/signloop' spell $(WORD) $(WORD).npz --language $(LANGUAGE); \
	cd '$(CURDIR)'; echo '$$ signloop loop $(WORD).npz --output demo'; \
	$(BIN)/signloop loop "$$words/$(WORD).npz" --output demo

test: lint test-fast test-long test-fuzz test-browser

test-fast: $(VENV)/.installed
	$(BIN)/pytest -n 2

test-long: $(VENV)/.installed
	$(BIN)/pytest -n 2 -m 'long and not slow and not gpu'

test-fuzz: $(VENV)/.installed
	$(BIN)/pytest -m 'hypothesis and not slow and not gpu' --hypothesis-profile=fuzz

test-browser: $(VENV)/.installed
	$(BIN)/pytest -m 'browser and not slow'

test-all: test
	$(BIN)/pytest -n 2 -m 'slow and not gpu'

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/pyrefly check

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

app: $(VENV)/.installed
	$(BIN)/python app.py

docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf demo site build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
