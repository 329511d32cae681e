# Everything a person does with this project starts here; `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed

.PHONY: help setup demo test lint chaos clean

help: ## List these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## Make .venv with .venv/bin/inventory from the hashed lock

$(STAMP): requirements.lock pyproject.toml deploy/bootstrap.sh
	@PYTHON=$(PYTHON) bash deploy/bootstrap.sh $(VENV)
	@touch $(STAMP)

demo: setup ## Start everything on this machine with a shop that trades
	@$(VENV)/bin/inventory demo || [ $$? = 130 ] # Ctrl-C

test: setup ## Run all tests but the long forms (about 15 minutes)
	@bash tests/run.sh

lint: setup ## Check style, types and the import contracts
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

chaos: setup ## Kill, freeze and cut off for as long as asked: make chaos MINUTES=30 SEED=7
	@CHAOS_MINUTES=$${MINUTES:-10} CHAOS_SEED=$${SEED:-1} $(VENV)/bin/pytest tests/chaos -s --timeout=0
	@CHAOS_OUTAGE_SECONDS=30 $(VENV)/bin/pytest tests/integration --timeout=0 \
		-k "stopped_under_load or away_under_load or kill or frozen"

clean: ## Remove the virtual environment and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
