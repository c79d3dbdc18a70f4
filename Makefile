# `make app` starts the app, `make test` runs what CI runs; each works on a machine that has only Python and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet
# On Linux torch from pip's own index brings gigabytes of CUDA, which only an NVIDIA card can use. TORCH_INDEX=ADDRESS takes
# torch from another index, TORCH_INDEX=plain as pip finds it.
CPU_INDEX := https://download.pytorch.org/whl/cpu
TORCH_INDEX ?= $(if $(filter Linux,$(shell uname -s)),$(if $(shell command -v nvidia-smi),plain,$(CPU_INDEX)),plain)

.DEFAULT_GOAL := help
.PHONY: help app test test-fast lint format install install-dev system-packages clean

help:
	@echo "make app        install what the app needs into $(VENV) and start it"
	@echo "make test       install, lint and run all tests"
	@echo "make test-fast  the quick part of the tests, for in between"
	@echo "make lint       ruff check and ruff format --check"
	@echo "make format     let ruff mend imports and layout"
	@echo "make clean      remove $(VENV) and caches"
	@echo "Another interpreter: make test PYTHON=python3.12. Another torch: make app TORCH_INDEX=plain"

# The stamps are newer than the files they depend on as long as nothing new has to be installed.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt pyproject.toml | $(BIN)/python
ifeq ($(TORCH_INDEX),plain)
	@echo "Installing into $(VENV). With CUDA this downloads several GB, without it about half a GB."
else
	@echo "Installing into $(VENV): about half a GB to download, with torch from $(TORCH_INDEX)."
endif
	@# uv finds the card by itself; an index that cannot be reached leaves the choice to pip.
	@if [ "$(origin TORCH_INDEX)" = file ] && command -v uv >/dev/null 2>&1 && \
	    uv pip install --quiet --python $(BIN)/python --torch-backend=auto -r requirements.txt; then exit 0; fi; \
	if [ "$(TORCH_INDEX)" != plain ]; then \
	    $(INSTALL) --retries 1 --timeout 20 --index-url $(TORCH_INDEX) "$$(grep '^torch==' requirements.txt)" || \
	        echo "torch did not come from $(TORCH_INDEX): taking what pip finds"; \
	fi; \
	$(INSTALL) -r requirements.txt
	$(INSTALL) --no-deps -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(INSTALL) -r requirements-dev.txt
	@touch $@

install: $(VENV)/.installed ;
install-dev: $(VENV)/.installed-dev ;

app: install
	$(BIN)/python app.py

# The tests of the app drive a real browser, and it needs a font that has Chinese characters. The shell of Chromium opens
# pages with much less work than Chromium itself, which will do where there is none.
APT_INSTALL := DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends
system-packages:
	@browser=""; font=""; \
	command -v chromium-headless-shell >/dev/null 2>&1 || browser=chromium-headless-shell; \
	fc-list :lang=zh 2>/dev/null | grep -q . || font="fontconfig fonts-noto-cjk"; \
	if [ -n "$$browser$$font" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    echo "installing $$browser $$font"; \
	    apt-get update -qq; \
	    $(APT_INSTALL) $$browser $$font >/dev/null || $(APT_INSTALL) chromium $$font >/dev/null \
	        || { command -v chromium >/dev/null 2>&1 && [ -z "$$font" ]; }; \
	elif [ -n "$$font" ] || { [ -n "$$browser" ] && ! command -v chromium >/dev/null 2>&1; }; then \
	    echo "The tests of the app need these Debian packages: $$browser $$font"; \
	    echo "Install them first, as root: apt-get install $$browser $$font"; \
	fi

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A file's tests stay in one process: they share networks, servers and a browser. The slow files come first.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: system-packages lint
	$(PYTEST)

test-fast: install-dev
	$(PYTEST) -m "not slow and not browser"

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
