# The environment, and thin wrappers around commands that can also be called directly. `make help` lists the targets.
# Works with GNU make 3.81 and later (macOS ships 3.81).

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	&& { echo $$name; break; }; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-user --require-hashes
# Each process takes a whole file; tests/conftest.py says which files come first.
PARALLEL := --numprocesses auto --dist loadfile --no-loadscope-reorder
export PATH := $(CURDIR)/$(BIN):$(PATH)
export RAY_USAGE_STATS_ENABLED := 0
# DVC's own notes about files; its default is a folder that everybody on the machine can write to.
export DVC_SITE_CACHE_DIR ?= $(CURDIR)/.dvc/tmp/site
# A container's user may be a number without a name, with which DVC ends.
export USER ?= $(shell id -u)
# What images and notebook services set: where pip installs, which modules Python finds, how it warns. The first has
# each process compile each module anew. What says where packages come from (PIP_INDEX_URL, ...) stays.
unexport PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONOPTIMIZE PYTHONPATH PYTHONSAFEPATH PYTHONWARNINGS PYTHONIOENCODING \
	PIP_CONSTRAINT PIP_DRY_RUN PIP_NO_BINARY PIP_NO_DEPS PIP_PREFIX PIP_ROOT PIP_TARGET PIP_USER \
	UV_CONSTRAINT UV_NO_BINARY UV_OVERRIDE UV_PREFIX UV_SYSTEM_PYTHON UV_TARGET

.DEFAULT_GOAL := help
.PHONY: help repro test lint test-services test-hard coverage mutants demo rehearse refine recipe sweep ui publish verify bench \
	docs lock audit sbom licences clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

repro: .venv/.runtime ## the whole study on a fresh machine: environment, `dvc repro`, MLflow
	@python -m pipeline repro

test: lint ## lint, types, and all tests that need no service
	@pytest $(PARALLEL)

lint: .venv/.dev ## ruff, mypy, import-linter on the layers, zizmor on the workflows
	@ruff check . && ruff format --check . && mypy && lint-imports --no-logo && zizmor --offline -qq .github

test-services: .venv/.dev ## servers and a browser: needs PostgreSQL and Chromium; a skipped test says what is missing
	@pytest -m services

test-hard: .venv/.dev ## faults and hostile input, some 25 minutes on two cores
	@pytest -m hard $(PARALLEL) --durations 15

# Besides what `make test` runs: the tests marked hard in its files, and these of tests/hard.
COVERED := $(filter-out tests/hard/% tests/services/%, $(wildcard $(addsuffix test_*.py, tests/ tests/*/ tests/*/*/))) \
	$(addprefix tests/hard/test_, repro.py sweep.py sweep_elsewhere.py sweep_faults.py)

coverage: .venv/.dev ## the share of pipeline/ that tests run, by module, and the lines that they miss
	@coverage erase && pytest -m '' $(COVERED) $(PARALLEL) --cov --cov-report term-missing:skip-covered

mutants: .venv/.dev ## change one operator or number of the pure modules at a time: does a test notice?
	@rm -rf mutants && mutmut run && mutmut export-cicd-stats
	@python -c 'import json; stats = json.load(open("mutants/mutmut-cicd-stats.json")); total = stats["total"]; \
		caught = stats["killed"] + stats["timeout"] + stats["segfault"]; \
		print("%d of %d mutants caught, %.1f %%" % (caught, total, 100 * caught / total)); \
		exit(caught < 0.9 * total and "error: expected 90 %. `mutmut results` lists the others.")'

demo: .venv/.runtime ## the whole pipeline on a bundled sample, without a network, in a scratch copy
	@python -m pipeline demo

rehearse: .venv/.runtime ## try in seconds what the study will do: network, data, memory, minutes
	@python -m pipeline rehearse

recipe: .venv/.runtime ## the textbook protocol as a DVC experiment: 500 epochs, rates 0.01, 0.1, 0.0001
	@dvc exp run --temp --force --name recipe -S train.epochs=500 \
		-S 'train.learning_rates=[0.01,0.1,0.0001]' -S 'train.seeds=[0]' -S data.validation_size=0 -S train.keep=last_epoch
	@echo 'The experiment is called recipe: `dvc exp show`, `dvc exp diff`; `dvc exp apply recipe` brings it here.'

refine: .venv/.runtime ## let the study grow as its report advises, to so many runs at most: make refine BUDGET=60
	@python -m pipeline refine --budget $(BUDGET)

sweep: .venv/.ray ## the same runs as `dvc repro`, many at a time, on this machine or a Ray cluster
	@python -m pipeline sweep

ui: .venv/.runtime ## bring MLflow up to date, open its UI on 127.0.0.1 at this study's comparison
	@python -m pipeline ui

publish: .venv/.runtime ## bring MLflow up to date with the outputs
	@python -m pipeline publish

verify: .venv/.runtime ## train again from nothing, elsewhere, and compare with dvc.lock, byte for byte
	@python -m pipeline verify

bench: .venv/.dev ## benchmarks, each beside its reference, in one run
	@python -m benchmarks

docs: .venv/.dev ## rewrite the figures and tables in README and docs from the files that hold them
	@python -m docs.render

# One environment; each larger set contains the smaller ones, at the same versions. pip installs uv, uv the rest.
.venv/.%: requirements/%.txt
	@test -n '$(PYTHON)' || { echo 'error: expected Python 3.11, 3.12 or 3.13 (TensorFlow has wheels for these), got: $(shell python3 --version 2>&1). Install one, or name it: make PYTHON=/path/to/python3.11'; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo 'Installing $< into .venv (once, some minutes)' >&2
	@sed -n '/^uv==/,/[^\\]$$/p' $< | $(PIP) -r /dev/stdin
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r $< \
		|| { echo 'uv could not; trying pip, which is slower but knows pip.conf' >&2; $(PIP) -r $<; }
	@touch $@ $(SMALLER)

.venv/.ray .venv/.dev: SMALLER = .venv/.runtime
.venv/.dev: SMALLER += .venv/.ray

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-annotate --no-emit-index-url --no-emit-find-links $(UPGRADE) pyproject.toml pipeline/train/requirements.txt --group installer

lock: .venv/.runtime ## resolve requirements/ again; for newer versions: make lock UPGRADE='--upgrade-package NAME'
	$(COMPILE) -o requirements/runtime.txt
	$(COMPILE) --extra ray -c requirements/runtime.txt -o requirements/ray.txt
	$(COMPILE) --extra ray --group dev -c requirements/ray.txt -o requirements/dev.txt

audit: .venv/.dev ## known vulnerabilities of all packages, from an advisory service: needs a network
	@pip-audit --requirement requirements/dev.txt --require-hashes --disable-pip --strict $(AUDIT)

sbom: .venv/.dev ## the bill of materials of .venv (CycloneDX): .scratch/sbom.cdx.json
	@mkdir -p .scratch && cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml \
		--output-reproducible --output-file .scratch/sbom.cdx.json

licences: .venv/.dev ## the licence of every package of .venv: .scratch/licences.md
	@mkdir -p .scratch && pip-licenses --with-system --format markdown --output-file .scratch/licences.md

clean: ## remove the environment and scratch files; results, DVC's cache and MLflow's store stay
	rm -rf .venv .scratch mutants .coverage .coverage.*
