PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench up

demo: .venv/installed
	$(BIN)/python manage.py demo $(ARGS)

up: .venv/installed
	$(BIN)/python manage.py up $(ARGS)

test: lint
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=platform:workers $(BIN)/lint-imports

bench: .venv/installed
	$(BIN)/python benchmarks/demo.py

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --constraint constraints.txt \
		--editable '.[platform,demo,dev]'
	touch $@
