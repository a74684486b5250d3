# The two commands of a newcomer, `make run` and `make test`, and what keeps the project in shape.
.DEFAULT_GOAL := help
.PHONY: help run path test lint format lock bench clean
SHELL := /bin/bash

# The newest Python that every framework has packages for, with the module that makes virtual environments.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& command -v $$python && break; done)
workflow := .venvs/workflow-$(shell sha256sum envs/workflow.txt | head -c 12)
test := .venvs/test-$(shell sha256sum envs/test.txt | head -c 12)
lock = envs/$(word 1,$(subst -, ,$(notdir $(@D)))).txt
export PYTHONPATH := workflow

help:
	@echo 'make run [PRESET=quick|article|publish|gpu]  set up, measure this machine, draw the figures, print the verdict'
	@echo 'make test                        set up and run every check and test'
	@echo 'make bench                       what the harness itself costs, as ratios'
	@echo 'make format, make lock, make clean'

run: $(workflow)/.complete
	@test -z '$(PRESET)' -o -f 'presets/$(PRESET).yaml' \
		|| { echo 'PRESET=$(PRESET) does not exist; allowed: $(basename $(notdir $(wildcard presets/*.yaml)))' >&2; exit 1; }
	@# First and apart: an environment that is made in the same invocation as a run makes all its old runs stale.
	@$(workflow)/bin/snakemake --cores all --quiet host progress reason rules -- environments
	@$(workflow)/bin/snakemake --cores all $(if $(PRESET),--configfile presets/$(PRESET).yaml)

# Where snakemake is, for a shell's PATH.
path: $(workflow)/.complete
	@echo $(CURDIR)/$(workflow)/bin

test: lint
	@$(test)/bin/snakemake --cores all environments
	@# Three files at a time, as the cluster of tests/system mostly waits, each by one process from its start to its end: what
	@# a file's tests share is made once, and the long ones, of tests/integration, come first.
	$(test)/bin/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder tests

lint: $(test)/.complete
	$(test)/bin/ruff check .
	$(test)/bin/ruff format --check .
	$(test)/bin/snakefmt --check Snakefile workflow/rules
	$(test)/bin/mypy

format: $(test)/.complete
	$(test)/bin/ruff check --fix .
	$(test)/bin/ruff format .
	$(test)/bin/snakefmt Snakefile workflow/rules

bench: $(test)/.complete
	$(test)/bin/python tests/benchmark.py $(ARGS)

# Every lock anew, for all Pythons and platforms at once, from its .in file; with the extra indexes that it needs, and
# without the default one, which is for who installs to choose.
lock: $(test)/.complete
	for file in envs/*.in; do \
		$(test)/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --emit-index-url \
			--no-header --no-annotate --quiet --output-file $${file%.in}.txt $$file \
		&& sed --in-place '/^--index-url /,/^$$/d' $${file%.in}.txt || exit 1; done

clean:
	rm -rf .venvs .snakemake

.venvs/workflow-%/.complete .venvs/test-%/.complete:
	@test -n '$(PYTHON)' || { echo 'Python 3.11, 3.12 or 3.13 with its venv module is needed' \
		'(Debian, Ubuntu: apt install python3-venv), or name one: make PYTHON=/path/to/python3' >&2; exit 1; }
	@echo 'setting up $(@D)' >&2
	@mkdir -p .venvs
	@{ $(PYTHON) -m venv --clear $(@D) && $(@D)/bin/python -m pip install --disable-pip-version-check --no-deps \
		--require-hashes --requirement $(lock); } > $(@D).log 2>&1 \
		|| { echo "$(lock): not installed: $$(grep ERROR: $(@D).log | tail -n 1)$$(grep -q 'connection broken' \
		$(@D).log && echo '; a package index could not be reached: is there a network?') (log: $(@D).log)" >&2; exit 1; }
	@touch $@
