# What a developer, CI or a user types. Each target makes .venv first where it is missing or older than the lock.
PYTHON ?= python3.11
HOST ?= 127.0.0.1
PORT ?= 3000
UI_PORT ?= 5000
FRAMES ?=
SETS ?=
SET ?=
WHY ?=
DEPLOY ?=
VENV ?= .venv
NAME ?= environment
AUDIT ?=

BIN := .venv/bin
INSTALLED := .venv/.installed
BENTO := dist/skygen.bento
# Only files whose hashes the lock has; what has no wheel is built with the setuptools of the lock.
LOCKED := $(BIN)/python -m pip install --disable-pip-version-check --require-hashes --no-deps --no-build-isolation

export BENTOML_DO_NOT_TRACK := True
export MLFLOW_DISABLE_TELEMETRY := true
export SET WHY

.DEFAULT_GOAL := help
.PHONY: help setup repro test test-slow check serve deploy rollback ui rehearse bench gpu gpu-pack encoders docs lock audit sbom wheel fresh stages clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(INSTALLED) ## make .venv and install the lock into it

repro: $(INSTALLED) ## run the pipeline: every stage that is out of date
	@test -e .git || git rev-parse --git-dir >/dev/null 2>&1 || test "$$($(BIN)/dvc config core.no_scm)" = true \
		|| { echo "$(CURDIR) has no git, which DVC asks for: say git init, or $(BIN)/dvc config --local core.no_scm true" >&2; exit 1; }
	@$(BIN)/skygen params >/dev/null
	@$(BIN)/python pipelines/frames.py --check
	PATH="$(CURDIR)/$(BIN):$$PATH" dvc repro

# As many processes as cores, and one more, each with whole files and one thread.
test: $(INSTALLED) ## run the tests but the slow ones
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n auto --dist loadfile --no-loadscope-reorder

test-slow: $(INSTALLED) ## run the slow tests
	$(BIN)/pytest -m slow

check: $(INSTALLED) ## lint, format, types, import rules, workflows, stack, and that README, Makefile and locks agree with the project
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/test_house.py tests/test_workflows.py tests/stack/test_compose.py tests/stack/test_kubernetes.py

# Each service has a folder of its own below .bento, named after its process: a second one leaves the first alone.
serve: $(INSTALLED) ## serve the packaged generators at HOST:PORT, or those in bundles/ before any training
	@for left in .bento/*; do kill -0 "$${left##*/}" 2>/dev/null || rm -rf "$$left"; done; \
	own="$(CURDIR)/.bento/$$$$"; mkdir -p "$$own"; trap 'rm -rf "$$own"' EXIT; trap : INT TERM; \
	if test -f $(BENTO); then \
		echo "serving $(BENTO)"; $(BIN)/python -m tarfile -e $(BENTO) "$$own/bento" || exit 1; service="$$own/bento"; \
	else \
		echo "no $(BENTO): serving the small generators in bundles/; make repro trains your own"; service=serving.service:Skygen; \
	fi; BENTOML_HOME="$$own/home" $(BIN)/bentoml serve "$$service" --host $(HOST) --port $(PORT) --timeout-graceful-shutdown 75

# docs/how-to/deploy.md; what was released last lies in .deploy/next.
deploy: $(INSTALLED) ## serve the registry's champions behind nginx in place of what serves; DEPLOY='--canary 10' has options
	$(BIN)/skygen release .deploy/next
	$(BIN)/skygen deploy .deploy/next $(DEPLOY)

rollback: $(INSTALLED) ## make the champion of SET the one before it, for the reason WHY, and deploy; DEPLOY as above
	@test -n "$$SET" && test -n "$$WHY" || { echo "say which set and why: make rollback SET=r64 WHY='blurred stars'" >&2; exit 1; }
	$(BIN)/skygen rollback "$$SET" --why "$$WHY"
	@{ $(BIN)/skygen release .deploy/next && $(BIN)/skygen deploy .deploy/next $(DEPLOY); } \
		|| { echo "the registry is rolled back, what serves is not: mend that, then make deploy; make rollback goes one further" >&2; exit 1; }

ui: $(INSTALLED) ## browse runs and models in MLflow, at 127.0.0.1:UI_PORT
	@$(BIN)/python -c 'import socket; socket.create_server(("127.0.0.1", $(UI_PORT)))' 2>/dev/null \
		|| { echo "127.0.0.1:$(UI_PORT) is taken, or no address: end what listens there, or say make ui UI_PORT=5001" >&2; exit 1; }
	@$(BIN)/python -c 'from skygen import tracking; tracking.keep_relative(tracking.LOCAL)'
	$(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port $(UI_PORT)

rehearse: $(INSTALLED) ## run it for real on this machine, in minutes: deploy, roll back, alarms, a killed database
	OMP_NUM_THREADS=1 $(BIN)/python -m tools.rehearse

bench: $(INSTALLED) ## run the benchmarks; FRAMES=FOLDER takes real frames in g, r and i
	@set -e; for name in frames tiles simulation; do echo "# $$name"; $(BIN)/python -m benchmarks.$$name $(FRAMES); done; \
	for name in engines training generation plane evaluation serving overload broken; do \
		echo "# $$name"; $(BIN)/python -m benchmarks.$$name; done

gpu: $(INSTALLED) ## measure the project on a GPU, ten minutes a call; python -m tools.gpu --help has the options
	$(BIN)/python -m tools.gpu

gpu-pack: $(INSTALLED) ## write small parts of the tile sets to data/gpu, which make gpu trains on
	$(BIN)/python -m tools.gpu.pack

encoders: $(INSTALLED) ## train the encoders in encoders/ anew, on simulated sky; SETS='NAME ...' those alone
	$(BIN)/python -m tools.encoders $(SETS)

docs: $(INSTALLED) ## build the documentation site, docs/_build/index.html; warnings are errors
	$(BIN)/sphinx-build --fresh-env --fail-on-warning --keep-going --quiet docs docs/_build

lock: $(INSTALLED) ## compile both locks from pyproject.toml; pins and hashes already in them stay where they can
	$(BIN)/python -m tools.locks

audit: $(INSTALLED) ## look all pins up among known vulnerabilities; one that cannot be looked up fails; AUDIT='OPTIONS'
	@$(BIN)/pip-audit --strict --disable-pip --progress-spinner off $(AUDIT) --requirement requirements.lock \
		--requirement requirements-cuda.lock \
		|| { echo "the audit failed: a pin has a known vulnerability, or could not be looked up; the lines above say which" >&2; exit 1; }

sbom: $(INSTALLED) ## write what VENV holds to dist/sbom-NAME.json, as CycloneDX
	@mkdir -p dist
	$(BIN)/cyclonedx-py environment $(VENV)/bin/python --pyproject pyproject.toml --output-reproducible \
		--output-format JSON --output-file dist/sbom-$(NAME).json

wheel: $(INSTALLED) ## build the wheel of the package skygen into dist/
	$(BIN)/hatchling build --target wheel

fresh: $(INSTALLED) ## whether dvc.lock belongs to this code, parameters and dvc.yaml; needs no data
	@$(BIN)/python -m tools.fresh

stages: $(INSTALLED) ## write into dvc.yaml which code each stage depends on
	$(BIN)/python -m tools.stages

clean: ## remove caches, the unpacked Bento and the built documentation; .venv and results stay
	rm -rf .bento .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache docs/_build docs/reference/api
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +

# DVC's index of its cache lies by default in a folder that every user of the machine can write to. Here it lies in the
# clone, in a folder made before DVC would make it open to all. DVC takes the path as it is, so it must be absolute.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is no Python 3.11 or newer: install one, or say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	sed -n '/^setuptools==/,/[^\\]$$/p' requirements.lock | $(LOCKED) --requirement /dev/stdin
	@torch=$$(sed -n 's/^\(torch==[^ ]*\) .*/\1/p' requirements.lock); \
	if $(BIN)/python -m pip install --quiet --dry-run --no-deps "$$torch+cpu" >/dev/null 2>&1; then \
		$(LOCKED) --requirement requirements.lock; \
	else \
		echo "pip finds no $$torch+cpu: installing the build for CUDA, several gigabytes"; \
		$(LOCKED) --requirement requirements-cuda.lock && \
		sed '/^torch==/,/[^\\]$$/d' requirements.lock | $(LOCKED) --requirement /dev/stdin; \
	fi
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check
	mkdir -p .dvc/tmp/site-cache/repo && chmod 700 .dvc/tmp/site-cache
	$(BIN)/dvc config --local core.site_cache_dir "$(CURDIR)/.dvc/tmp/site-cache"
	touch $@
