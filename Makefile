# make demo | make test | make test-all | make lint | make setup. VENV=/path uses another environment.
VENV ?= .venv
VENV_PYTHON := $(VENV)/bin/python
# Test files run in so many processes, each of one thread.
JOBS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(VENV_PYTHON) -m pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder

# A stamp named after all that decides what is installed: found = the environment is current.
INPUTS := setup.py pyproject.toml requirements/constraints.txt
STAMP := $(VENV)/.mmdense-$(shell (cat $(INPUTS); echo $(CURDIR)) | sha256sum | cut -c 1-16)

.PHONY: setup demo test test-all lint
.DEFAULT_GOAL := help

help:
	@echo "make demo      pretrain, fine-tune and test on generated images"
	@echo "make test      run the tests"
	@echo "make test-all  these, and every config, backbone and situation (up to 40 minutes)"
	@echo "make lint      ruff and codespell"
	@echo "make setup     only the environment, in $(VENV) (VENV=/path: another one)"

setup: $(STAMP)
	@echo "$(VENV) is current"

$(STAMP):
	@tools/make_venv.sh $(VENV)
	$(VENV_PYTHON) -m pip install -e '.[onedl,tests]' -c requirements/constraints.txt
	@rm -f $(VENV)/.mmdense-*
	@touch $@

demo: $(STAMP)
	$(VENV_PYTHON) tools/demo.py

test: $(STAMP)
	$(PYTEST)

test-all: $(STAMP)
	$(PYTEST) -m ''

lint: $(STAMP)
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m codespell_lib
