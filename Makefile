# The two commands of a newcomer, `make run` and `make test`, and what keeps the project in shape.
.DEFAULT_GOAL := help
.PHONY: help run prove compare figures new-language rerun rerun-busy new-framework import publish path check test test-all rest ready \
	environments lint docs format schema lock bench bundle clean words
ifeq ($(wildcard envs/workflow.txt),)
$(error this is not the folder of the project: make -C $(dir $(firstword $(MAKEFILE_LIST))) $(MAKECMDGOALS))
endif

# A user's PYTHONHOME and the like are for another Python; -I leaves them out where they would count before that.
unexport $(filter-out PYTHON PYTHONPATH,$(filter PYTHON%,$(.VARIABLES)))
# Nor are options of Snakemake that a user has for every workflow, nor a date for builds: NumPy ends at an empty one.
unexport $(filter SNAKEMAKE_%,$(.VARIABLES)) SOURCE_DATE_EPOCH
# The newest Python that every framework has packages for, with the modules that make virtual environments.
suits = -I -c 'import ensurepip, ssl, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null
newest = $(shell for python in python3.13 python3.12 python3.11 python3; do $$python $(suits) && echo $$python && break; done)
# `make bundle` takes the version of another machine's.
there := $(filter 3.11 3.12 3.13,$(PYTHON))
ifneq ($(there),)
override PYTHON := $(newest)
endif
ifeq ($(PYTHON),)
override PYTHON = $(newest)
endif
workflow := .venvs/workflow-$(shell sha256sum envs/workflow.txt | head -c 12)
test := .venvs/test-$(shell sha256sum envs/test.txt | head -c 12)
lock = envs/$(word 1,$(subst -, ,$(notdir $(@D)))).txt
export PYTHONPATH := workflow
export PYTHONUTF8 := 1
# On make's command line LANG is a language of the project; what make starts keeps a locale that exists.
ifeq ($(origin LANG),command line)
export language := $(LANG)
override LANG := C.UTF-8
endif

help:
	@echo 'make run [PRESET=quick|article|publish|gpu-quick|gpu|transformer]  set up, measure this machine, draw the figures, print the verdict'
	@echo 'make prove MODEL=../my-net       are keras.py and pytorch.py of a folder the same, and if not, where do they part?'
	@echo 'make compare MODEL=../my-net     the same, and which of the two is faster here?'
	@echo 'make rerun-busy [PRESET=…|MODEL=…]   measure again what met a busy machine; make rerun BLOCK=…: one row of the answer'
	@echo 'make check                       set up; lint, types and unit tests: 5 to 15 minutes on 2 cores after setting up'
	@echo 'make test                        the same, and that the project works here: 15 to 35 minutes with setting up'
	@echo 'make test-all                    every test: 40 to 80 minutes after setting up'
	@echo 'make bench                       what the harness itself costs, as ratios'
	@echo "make figures LANG=ko             the article's figures in one language, in seconds, and where they are"
	@echo 'make new-language CODE=ja        the file of a language of your own, in English as it stands'
	@echo 'make new-framework NAME=my-net   the files of a framework of your own, from a template that works as it stands'
	@echo 'make bundle PYTHON=3.12          the project with its packages as one file, for a machine without a network'
	@echo 'make import FROM=h100.zip        draw the campaign of another machine, from its archive (snakemake export)'
	@echo 'make publish FROM=results AS=name  a result set in results/published, of a campaign with its archive'
	@echo 'make docs                        docs/ as a site, site/index.html'
	@echo 'make format, make schema, make lock, make clean'

preset = $(if $(PRESET),--configfile "presets/$$PRESET.yaml")
run: $(workflow)/.complete
	@# First and apart: an environment that is made in the same invocation as a run makes all its old runs stale.
	@$(workflow)/bin/snakemake --cores all --quiet host progress reason rules $(preset) -- environments
	@$(workflow)/bin/snakemake --cores all $(preset)

# A folder anywhere on disk, in environments that are made where they are not there; ARGS go to the command.
prove: $(workflow)/.complete
	@$(workflow)/bin/python -P -m framebench.prove "$$MODEL" $(ARGS)

# The same, and then a campaign of its own, whose configuration is written beside its results.
compare: $(workflow)/.complete
	@config=$$($(workflow)/bin/python -P -m framebench.prove.campaign "$$MODEL") || exit 1; \
		$(workflow)/bin/snakemake --cores all --quiet host progress reason rules --configfile "$$config" -- environments \
		&& $(workflow)/bin/snakemake --cores all --configfile "$$config" $(ARGS)

# Results of a block, or of rounds that met a busy machine, are set aside and measured again.
overlay = $(if $(MODEL),"results/$$(basename "$$MODEL")/config.yaml",$(if $(PRESET),"presets/$$PRESET.yaml"))
rerun rerun-busy: $(workflow)/.complete
	@$(workflow)/bin/python -P -m framebench rerun config.yaml $(overlay) $(if $(BLOCK),--block "$$BLOCK")
	@$(MAKE) --no-print-directory $(if $(MODEL),compare,run)

# The article's, which need no measuring; `snakemake figures` draws those of a campaign.
figures: $(workflow)/.complete
	@$(workflow)/bin/python -P -m framebench figures "$$language"

# make has a variable AS of its own, an assembler, and so have the shells of people who compile.
as = $(if $(filter command,$(firstword $(origin AS))),--name "$$AS")
# Another machine's campaign, from its archive: drawn, and never measured. AS=NAME names its folder in results/imported.
import: $(workflow)/.complete
	@config=$$($(workflow)/bin/python -P -m framebench.exchange.imported "$$FROM" $(as)) || exit 1; \
		$(workflow)/bin/snakemake --cores all --configfile "$$config" $(ARGS)

# A result set of results/published: what a reader needs of a results folder. AS=NAME names it.
publish: $(workflow)/.complete
	@$(workflow)/bin/python -P -m framebench.exchange.publish "$$FROM" $(as)

# For a machine without a network; PYTHON is the version of the Python there.
bundle: $(workflow)/.complete
	@$(workflow)/bin/python -P -m framebench.plan.bundle --python '$(there)' $(ARGS)

# These two need nothing but Python.
new-language:
	@"$(PYTHON)" -P -s -m framebench.plan.new_language "$$CODE"

new-framework:
	@# WSL has a variable NAME of its own, with the name of the machine.
	@"$(PYTHON)" -P -s -m framebench.plan.new_framework "$(if $(filter command,$(firstword $(origin NAME))),$$NAME)"

# Where snakemake is, for a shell's PATH.
path: $(workflow)/.complete
	@echo "$$PWD/$(workflow)/bin"

# Three tiers, each with all that the one before it has; a test's marker says in which it is (pyproject.toml). ARGS go to
# pytest.
pytest = $(test)/bin/python -m pytest --numprocesses 3 --dist loadgroup --no-loadscope-reorder tests

check: lint
	$(pytest) -m 'not test and not all' $(ARGS)

test: ready
	$(pytest) -m 'not all' $(ARGS)

test-all: ready
	$(pytest) $(ARGS)

# The tests that test-all adds to test.
rest: ready
	$(pytest) -m all $(ARGS)

# At the same time: a network and a disk are waited for, and a type checker computes.
ready: $(test)/.complete
	@$(MAKE) --no-print-directory --jobs 2 lint environments

environments: $(test)/.complete
	@$(test)/bin/snakemake --cores all --quiet host progress reason rules -- environments

lint: $(test)/.complete docs
	$(test)/bin/ruff check .
	$(test)/bin/ruff format --check .
	$(test)/bin/snakefmt --check Snakefile workflow/rules
	$(test)/bin/mypy

# A broken link fails.
docs: $(test)/.complete
	NO_MKDOCS_2_WARNING=1 $(test)/bin/mkdocs build

format: $(test)/.complete
	$(test)/bin/ruff check --fix .
	$(test)/bin/ruff format .
	$(test)/bin/snakefmt Snakefile workflow/rules

# The schema with which editors check config.yaml and the presets, from the classes of plan/knobs.py.
schema: $(test)/.complete
	$(test)/bin/python -m framebench.plan.schema

bench: environments
	$(test)/bin/python tests/benchmark.py $(ARGS)

# Every lock anew, for all Pythons and platforms at once, from its .in file; with the extra indexes that it needs, and
# without the default one, which is for who installs to choose.
lock: $(workflow)/.complete
	uv=$$(ls -t .venvs/uv-*/bin/uv | head -n 1); for file in envs/*.in; do \
		$$uv pip compile --universal --python-version 3.11 --generate-hashes --emit-index-url \
			--no-header --no-annotate --quiet --output-file $${file%.in}.txt $$file \
		&& sed --in-place '/^--index-url /,/^$$/d' $${file%.in}.txt || exit 1; done

clean:
	rm -rf .venvs .snakemake

# A wrong word is refused at once, and not after an installation. An outer make may hand on variables of its own.
known := ARGS AS BLOCK CODE FROM LANG MODEL NAME PRESET PYTHON SHELL
given := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
unknown := $(if $(filter 0,$(MAKELEVEL)),$(firstword $(filter-out $(known),$(given))))
words:
	@wrong() { echo "$$*" >&2; exit 1; }; \
	test -z '$(unknown)' || wrong '$(unknown)=… is not known; allowed: $(known)'; \
	for goal in $(MAKECMDGOALS); do \
		case $$goal in run | rerun | rerun-busy) test -z "$$PRESET" || test -f "presets/$$PRESET.yaml" \
			|| wrong "PRESET=$$PRESET does not exist; allowed: $(basename $(notdir $(wildcard presets/*.yaml)))";; esac; \
		case $$goal in prove | compare) test -n "$$MODEL" || wrong \
			"MODEL is missing: make $$goal MODEL=../my-net, a folder with problem.yaml, keras.py and pytorch.py";; esac; \
		case $$goal in prove | compare | rerun | rerun-busy) test -z "$$MODEL" || test -d "$$MODEL" \
			|| wrong "MODEL=$$MODEL is no folder";; esac; \
		case $$goal in rerun) test -n "$$BLOCK" || wrong 'BLOCK is missing: make rerun BLOCK=…, as the page has it';; esac; \
		case $$goal in bundle) test -n '$(there)' || wrong \
			'PYTHON is missing: make bundle PYTHON=3.12, the version on the other machine; allowed: 3.11, 3.12, 3.13';; esac; \
		case $$goal in import) test -f "$$FROM" || wrong \
			"FROM=$$FROM is no file: make import FROM=h100.zip, an archive of snakemake export";; esac; \
		case $$goal in publish) test -d "$$FROM" || wrong \
			"FROM is no results folder: make publish FROM=results/imported/h100 AS=h100-2026-11-30";; esac; \
		case $$goal in figures) test -f "workflow/framebench/languages/$$language.yaml" || wrong \
			"LANG$(if $(language),=$$language does not exist, is missing: make figures LANG=ko); allowed:" \
			"$(basename $(notdir $(wildcard workflow/framebench/languages/*.yaml)))";; esac; \
	done

# Looked at each time, as an environment may have been moved or have lost its Python; in no time where it is whole.
.venvs/workflow-%/.complete .venvs/test-%/.complete: words
	@"$(PYTHON)" $(suits) || { echo "$(if $(PYTHON),PYTHON=$(PYTHON) will not do: )Python 3.11, 3.12 or 3.13 with its venv" \
		'module is needed (Debian, Ubuntu: apt install python3-venv), or name one: make PYTHON=/path/to/python3' >&2; exit 1; }
	@"$(PYTHON)" -P -s -m framebench.plan.installation --lock $(lock) --prefix $(@D) --log $(@D).log
