# Everything one does with this checkout. `make` or `make help` lists it.
#
#   PYTHON=python3.13   the interpreter to use (default: that of .venv, else python3)
#   PYTHONS=...         for `make matrix`: see tools/pythons.sh
#   ARGS=...            more arguments for pytest or the benchmarks

PYTHON ?= python3
VENV   := .venv
IN     := $(VENV)/bin/python
ARGS   ?=

STUBTEST := --mypy-config-file pyproject.toml --allowlist tools/stubtest_allowlist.txt

SOURCES := $(shell find _fastasync fastasync -name '*.[ch]' -o -name '*.py*' \
             -not -path '*/__pycache__/*') setup.py pyproject.toml

# .venv stays on the Python it was made with, until another one is asked for.
ifeq ($(origin PYTHON),file)
VENV_PYTHON := $(or $(wildcard $(IN)),$(PYTHON))
else
VENV_PYTHON := $(PYTHON)
WHICH := import sys; print(sys.version, sys.base_prefix)
ifneq ($(shell test ! -x $(IN) || $(IN) -c '$(WHICH)' 2>&1),$(shell $(PYTHON) -c '$(WHICH)'))
.PHONY: $(VENV)/.built
endif
endif

.DEFAULT_GOAL := help
.PHONY: help run test build lint types sanitize leaks matrix suites bench examples docs \
        wheel pgo clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*##/\1\t/p' Makefile | expand -t 12

run: $(VENV)/.examples  ## build, then the tour: one program on asyncio and on fastasync
	$(IN) examples/tour.py $(ARGS)

test: $(VENV)/.test  ## build, then all tests, CPython's own among them
	$(IN) -m pytest $(ARGS)

build: $(VENV)/.built  ## build and install into .venv

lint: $(VENV)/.lint  ## the checks of the house, types, both builds without a warning
	$(IN) tools/check_layers.py
	$(IN) tools/check_sizes.py
	$(IN) tools/check_compat.py
	$(IN) tools/check_duplicates.py
	$(IN) -m mypy
	$(IN) -m mypy.stubtest $(STUBTEST) fastasync _fastasync
	tools/both_builds.sh $(IN)

types: $(VENV)/.types $(VENV)/.examples  ## mypy --strict and pyright on the examples, which need their packages
	$(IN) -m mypy examples
	$(IN) -m basedpyright --pythonpath $(IN)

sanitize:  ## the tests on a build with AddressSanitizer and UBSan
	PYTHON=$(PYTHON) tools/sanitize.sh $(ARGS)

leaks: $(VENV)/.test  ## repeat tests and scenarios and see whether anything grows
	$(IN) -m pytest tests/isolated
	$(IN) tools/leaks.py $(ARGS)
	$(IN) tests/conformance/run.py --mode namespace --leaks

matrix:  ## install and test on every Python that can be found
	tools/matrix.sh $(ARGS)

suites:  ## real projects' own tests, on asyncio and on fastasync
	$(PYTHON) tests/suites/run.py $(ARGS)

bench: $(VENV)/.bench  ## measure against asyncio, uvloop and the limits
	$(IN) benchmarks/run.py $(ARGS)

examples: $(VENV)/.test $(VENV)/.examples  ## run every example, in every server and tool it is for
	$(IN) -m pytest tests/examples $(ARGS)

docs: $(VENV)/.docs  ## the documentation as a site in build/site; a warning is an error
	$(IN) benchmarks/page.py --check
	NO_MKDOCS_2_WARNING=1 $(IN) -m mkdocs build --strict --quiet

wheel:  ## dist/: an sdist, a wheel made from it, both tried in a fresh venv
	tools/dist.sh $(PYTHON)

pgo:  ## dist/: a wheel with profile-guided optimisation, measured against a plain one
	tools/pgo.sh $(PYTHON) dist $(ARGS)

clean:  ## remove everything that was built
	rm -rf $(VENV) .matrix .sanitize .suites build dist *.egg-info *.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.built: $(SOURCES) tools/venv.sh tools/wheel.sh
	tools/venv.sh $(VENV_PYTHON) $(VENV)
	@touch $@

# One stamp for each extra of pyproject.toml: .test, .examples, .lint, .types, .bench.
$(VENV)/.%: $(VENV)/.built
	$(IN) -m pip install --quiet --disable-pip-version-check "fastasync[$*]"
	@touch $@
