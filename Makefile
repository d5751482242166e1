# `make` lists what there is.
PYTHON = $(shell lab/lab venv)
VENV_READY = $(HOME)/.cache/cluster-lab/venv/ready-$(shell (pwd; cat setup.py pyproject.toml) | md5sum | cut -c1-8)

.PHONY: help demo dev test test-faults test-quick simulate check bench clean venv prepare

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo:  ## three nodes on this machine: WordPress deployed, written to, moved with its data, ruined, rolled back
	@lab/demo

dev: venv  ## an environment to work in; prints how to use it
	@echo "$(PYTHON) has the package (editable) and all tools"

test: prepare venv  ## every tier: core, simulation, component, lab; installs what it needs
	$(PYTHON) -m pytest tests

test-faults: prepare venv  ## crashes at every step, power losses, partitions: an hour more
	$(PYTHON) -m pytest --faults -m faults tests/lab

test-quick: venv  ## the tiers that need only Python
	$(PYTHON) -m pytest tests/core tests/simulation

SEEDS = 10000
simulate: venv  ## whole operations with random failures: make simulate SEEDS=100000; SEED=17 makes one run again
	$(PYTHON) -m pytest -s tests/simulation -k invariants $(if $(SEED),--seed=$(SEED),--seeds=$(SEEDS))

check: venv  ## style, types, import directions
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(dir $(PYTHON))lint-imports

bench: prepare venv  ## measurements, as ratios; see bench/README.rst
	$(PYTHON) -m bench

clean:  ## remove every trace of the lab; keeps the cache of images
	lab/lab down

prepare:
	@lab/lab prepare

venv: $(VENV_READY)

$(VENV_READY):
	@lab/lab venv >/dev/null
	$(PYTHON) -m pip install -q -e '.[test,check]'
	@touch $@
