# make figures/fig3_logscale.pdf     sets up once, then trains and draws
# make figures/fig3_logscale.pdf CONFIG="scale=day"
# make site                          site/index.html: every result, its code and its numbers, to browse
# make release VERSION=0.1.0         dist/flow-policies-0.1.0.zip of the commit that is checked out
# make test PYTHON=python3.12         with another Python, in an environment of its own
PYTHON ?= python3
CONFIG ?=
VERSION ?=
VENV := .venv$(if $(filter-out python3,$(notdir $(PYTHON))),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
# The environment's own programs come first, as if it were activated.
# Snakemake keeps copies of sources below HOME, which containers and clusters may not let it write.
CACHE := $(shell test -w "$$HOME" || echo 'XDG_CACHE_HOME="$(CURDIR)/.cache"')
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" $(CACHE)
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: setup test test-cluster smoke lint mutants site test-site release clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# //p' Makefile

$(BIN)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "python3 >= 3.11 is needed; make PYTHON=python3.11 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) --editable '.[dev]'
	@$(PIP) --editable '.[minatar]' 2>/dev/null || echo "MinAtar was not installed: figx_minatar is left out." >&2
	@$(PIP) --only-binary pybullet --editable '.[roboschool]' 2>/dev/null || echo \
		"pybullet was not installed (it has wheels up to Python 3.11): figures of its robots are left out." >&2
	@touch $@

setup: $(BIN)/.ready

figures/%: setup FORCE
	$(RUN) snakemake --cores all $@ $(if $(CONFIG),--config $(CONFIG))

# The tests, then every artefact of every paper at scale smoke, then the notebooks on those results.
test: setup
	$(RUN) python -m pytest -n auto --dist loadfile
	$(MAKE) smoke
	$(RUN) NF_SCALE=smoke python -m pytest -n auto --nbmake notebooks

# Snakemake would train and draw too, but with a process for each, whose start takes longer than the work. It checks that
# nothing is left to be done.
smoke: setup
	$(RUN) python -m papers run all --scale smoke
	$(RUN) python -m papers draw all --scale smoke
	$(RUN) snakemake --cores all smoke

# The workflow through a Slurm that lasts as long as the test. It needs root and Debian's packages, or says that it was skipped.
test-cluster: $(BIN)/.submits
	$(RUN) python -m pytest -rs tests/cluster

$(BIN)/.submits: $(BIN)/.ready
	$(PIP) --editable '.[cluster]'
	@touch $@

lint: setup
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) snakefmt --check workflow
	$(RUN) snakemake --lint

# Would the tests notice wrong code? Not part of the tests: over an hour of two cores.
mutants: setup
	$(RUN) python -m tests.mutants

# Pages for a browser, site/index.html, of published results. Notebooks are run, which takes some minutes.
site: setup
	$(PIP) --editable '.[site]'
	$(RUN) python -m papers site

# The same, walked through by Debian's Chromium: links, pictures, widths, the filter of claims, what notebooks print.
test-site: site
	$(RUN) env SITE=site python -m pytest -n 0 tests/test_site.py

# One archive of this commit: code, published results, pictures, tables, verdicts, checksums and what describes them.
release: $(BIN)/.describes
	$(RUN) python -m papers release $(VERSION)

$(BIN)/.describes: $(BIN)/.ready
	$(PIP) --editable '.[release]'
	@touch $@

clean:
	rm -rf results figures logs .snakemake

FORCE:
