# make figures/fig3_logscale.pdf     sets up once, then trains and draws
# make figures/fig3_logscale.pdf CONFIG="scale=day"
PYTHON ?= python3
CONFIG ?=
BIN := .venv/bin
# The environment's own programs come first, as if it were activated.
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"

.PHONY: setup test smoke lint mutants clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# //p' Makefile

$(BIN)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "python3 >= 3.11 is needed; make PYTHON=python3.11 ..."; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

setup: $(BIN)/.ready

figures/%: setup FORCE
	$(RUN) snakemake --cores all $@ $(if $(CONFIG),--config $(CONFIG))

# The tests, then every artefact of every paper at scale smoke, then the notebooks on those results.
test: setup
	$(RUN) python -m pytest -n auto --dist loadfile
	$(MAKE) smoke
	$(RUN) NF_SCALE=smoke python -m pytest --nbmake notebooks

# Snakemake would train the cells too, but with a process for each, whose start takes longer than the training.
smoke: setup
	$(RUN) python -m papers run all --scale smoke
	$(RUN) snakemake --cores all smoke

lint: setup
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) snakefmt --check workflow
	$(RUN) snakemake --lint

# Would the tests notice wrong code? Not part of the tests: some 20 minutes.
mutants: setup
	$(RUN) python -m tests.mutants

clean:
	rm -rf results figures logs .snakemake

FORCE:
