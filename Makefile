# Every target makes or reuses $(VENV) and installs what it needs; nothing else is touched.
#   make run PYTHON=python3.13 VENV=.venv-3.13     another interpreter, in an environment of its own

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
BASISMODELS_DATA ?= ../shared/data
INSTALLED := $(VENV)/.installed

NOTEBOOKS := $(sort $(wildcard notebooks/[0-9]*.py notebooks/[0-9]*.md))
STUDIES   := $(filter-out %_study.py,$(sort $(wildcard tests/slow/*.py)))

.PHONY: help run test test-long check lint slow bench real-data rolling-origin sampling posterior-intervals panel sbc rules-table placebo funding settlement counterfactual tables picture notebooks docs paper-check events coverage paper rolling instruments fuzz sbom
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(INSTALLED)-core ## the report on the embedded example: key figures here, pictures in report.html
	$(BIN)/basismodels report --out report.html

test: $(INSTALLED)-test ## the tests, in under ten minutes
	$(BIN)/python -m pytest

test-long: $(INSTALLED)-test ## the tests that compile, sample or simulate for long
	$(BIN)/python -m pytest -m long

check: lint ## what to run before a commit: lint, types, import contract, quick tests
	$(BIN)/python -m pytest -q -m "not slow and not long"

lint: $(INSTALLED)-test ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

slow: $(INSTALLED)-test ## the long studies behind the tables (hours; each resumes where it stopped)
	set -e; for study in $(STUDIES); do $(BIN)/python $$study; done

study-%: $(INSTALLED)-test # one of them: make study-kim_error, study-placebo_year, study-alarms, study-calibration, study-recovery
	$(BIN)/python tests/slow/$*.py

bench: $(INSTALLED)-test,bench ## speed against other packages, into benchmarks/results
	$(BIN)/python benchmarks/run.py

sampling: $(INSTALLED)-test,bench ## posterior sampling against scan, and at length, into benchmarks/results
	BASISMODELS_DATA=$(abspath $(BASISMODELS_DATA)) $(BIN)/python benchmarks/sampling.py

posterior-intervals: $(INSTALLED)-core ## frequentist and posterior intervals of BTC, XRP and GBTC, into benchmarks/results
	BASISMODELS_DATA=$(abspath $(BASISMODELS_DATA)) $(BIN)/python benchmarks/posterior_intervals.py

panel: $(INSTALLED)-core ## four markets at once: shrinkage and joint failure, into benchmarks/results and build
	BASISMODELS_DATA=$(abspath $(BASISMODELS_DATA)) $(BIN)/python benchmarks/panel.py

sbc: $(INSTALLED)-test ## simulation-based calibration of each model, into tests/slow/sbc.csv; resumes
	$(BIN)/python tests/slow/sbc.py

real-data: $(INSTALLED)-core ## the registered models on BTC 2024 beside a particle filter, into benchmarks/results (5 min)
	BASISMODELS_DATA=$(abspath $(BASISMODELS_DATA)) $(BIN)/python benchmarks/real_data.py

rolling-origin: $(INSTALLED)-core ## forecasts of BTC and ETH scored from a rolling origin, into benchmarks/results (20 min)
	BASISMODELS_DATA=$(abspath $(BASISMODELS_DATA)) $(BIN)/python benchmarks/rolling_origin.py

settlement: $(INSTALLED)-core ## whether BTC, ETH and XRP go ex-funding, into benchmarks/results/settlement.csv (5 min)
	BASISMODELS_DATA=$(abspath $(BASISMODELS_DATA)) $(BIN)/python benchmarks/settlement.py

rules-table: $(INSTALLED)-core ## settled rates of 53 symbols against the rules, into benchmarks/results/funding_rules.csv
	BASISMODELS_DATA=$(abspath $(BASISMODELS_DATA)) $(BIN)/python benchmarks/funding_rules.py

funding: $(INSTALLED)-core ## driver or proxy, and speed over funding, for BTC, ETH and XRP, into benchmarks/results (15 min)
	BASISMODELS_DATA=$(abspath $(BASISMODELS_DATA)) $(BIN)/python benchmarks/funding.py --again

counterfactual: $(INSTALLED)-core ## simulated funding against real, and other rules, into benchmarks/results
	BASISMODELS_DATA=$(abspath $(BASISMODELS_DATA)) $(BIN)/python benchmarks/closed_loop.py

placebo: $(INSTALLED)-core ## sizes of the tests of funding where it does nothing, into tests/slow/placebo.csv; resumes
	$(BIN)/python tests/slow/placebo.py

rolling: $(INSTALLED)-test ## rolling windows and bootstrap against statsmodels, into benchmarks/results
	BASISMODELS_DATA=$(abspath $(BASISMODELS_DATA)) $(BIN)/python benchmarks/rolling.py
	$(BIN)/python benchmarks/watch.py

instruments: $(INSTALLED)-test ## 200 instruments on this machine and on a loopback cluster, into benchmarks/results
	$(BIN)/python benchmarks/instruments.py

fuzz: $(INSTALLED)-test ## 10,000 odd files and arguments: only the package's own errors come out
	$(BIN)/python tests/fuzz/fuzzer.py --count 10000

sbom: $(INSTALLED)-core ## what an installation consists of, into build/sbom.json (CycloneDX)
	@mkdir -p build
	$(PYTHON) -m venv $(VENV)-sbom
	$(VENV)-sbom/bin/python -m pip install --quiet "cyclonedx-bom>=5"
	$(VENV)-sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	  --of JSON -o build/sbom.json $(BIN)/python

tables: $(INSTALLED)-core ## the README's tables, from the committed results
	$(BIN)/python benchmarks/readme.py

picture: $(INSTALLED)-core ## the README's picture, from the example
	$(BIN)/python benchmarks/picture.py

notebooks: $(INSTALLED)-test ## execute the notebooks, on real data where BASISMODELS_DATA holds it
	@mkdir -p build/notebooks
	set -e; for text in $(NOTEBOOKS); do \
	  $(BIN)/jupytext --quiet --to ipynb --output build/notebooks/$$(basename $${text%.*}).ipynb $$text; done
	BASISMODELS_NOTEBOOK=real BASISMODELS_DATA=$(abspath $(BASISMODELS_DATA)) \
	  $(BIN)/python -m pytest --nbmake --overwrite --nbmake-timeout=900 build/notebooks

events: $(INSTALLED)-core ## what the model said before, during and after known events, into paper/tables/events.csv
	BASISMODELS_DATA=$(abspath $(BASISMODELS_DATA)) $(BIN)/python paper/events.py

coverage: $(INSTALLED)-test ## coverage of every interval, into tests/slow/coverage.csv; resumes by cell
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python tests/slow/interval_coverage.py

docs: $(INSTALLED)-docs ## the documentation, into build/docs; a warning is an error
	$(BIN)/python -m sphinx -E -W --keep-going -q -b html docs build/docs

paper: $(INSTALLED)-paper ## the paper and the article: numbers, tables, figures, then build/paper.pdf and build/article.pdf
	$(BIN)/python paper/build.py

paper-check: $(INSTALLED)-paper ## fails where a number, a key, a heading or the length of the papers is off
	BASISMODELS_DATA=$(abspath $(BASISMODELS_DATA)) $(BIN)/python paper/build.py --check

$(INSTALLED)-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable "$(if $(filter core,$*),.,.[$*])"
	@touch $@

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "$(PYTHON) is missing: install Python 3.11 or newer, or name one: make PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is not Python 3.11 or newer: name one that is: make PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make environments: install python3-venv (apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }
