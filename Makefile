# make run     serve ./demo, or ROOT=folder, at http://127.0.0.1:8000/ (PORT=, OPTIONS=)
# make test    every test, in JOBS=2 processes (ARGS= for pytest)
# make check   style, types and the direction of imports
# make bench   fileserve beside its peers, see benchmarks/README.md (ARGS=--quick, --scenario NAME)
#
# Each sets up what it needs in .venv first, once; needs Python 3.11 or newer and a network then.

PYTHON ?= python3
ROOT ?= demo
PORT ?= 8000
OPTIONS ?=
ARGS ?=
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PYTEST := PYTHONDEVMODE=1 $(BIN)/python -m pytest
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input

LARGE_FILE_MIB := 512
VIDEO_SECONDS := 60

.DEFAULT_GOAL := help
.PHONY: help run test check bench demo clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

run: $(VENV)/installed $(if $(filter demo,$(ROOT)),demo)
	@exec $(BIN)/fileserve serve "$(ROOT)" --port $(PORT) $(OPTIONS)

# A test fails when it fails twice, the second time alone: on a busy machine other programs may have
# come between.  Each that passes then is named, with what it said at first, to be made steadier.
test: $(VENV)/installed-dev
	@$(PYTEST) --numprocesses $(JOBS) --dist loadfile $(ARGS) && exit; \
	status=$$?; [ $$status = 1 ] || exit $$status; \
	echo "make test: runs what failed once more, alone"; \
	$(PYTEST) --last-failed --last-failed-no-failures none --verbose $(ARGS)

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed-bench
	@$(BIN)/python -m benchmarks $(ARGS)

demo: demo/large.bin demo/video.mp4 demo/notes.txt

# Under another name first, so that an interrupted run leaves nothing that looks whole.
demo/large.bin:
	@mkdir -p demo
	@echo "fills $@ with $(LARGE_FILE_MIB) MiB"
	@head -c $(LARGE_FILE_MIB)M /dev/urandom > $@.part && mv $@.part $@

demo/video.mp4:
	@mkdir -p demo
	@if command -v ffmpeg > /dev/null; then \
	    echo "makes $@, $(VIDEO_SECONDS) seconds of test picture"; \
	    ffmpeg -nostdin -loglevel error -y \
	        -f lavfi -i testsrc2=size=640x360:rate=25:duration=$(VIDEO_SECONDS) \
	        -f lavfi -i sine=frequency=440:duration=$(VIDEO_SECONDS) \
	        -c:v libx264 -preset veryfast -pix_fmt yuv420p -c:a aac -f mp4 $@.part; \
	else \
	    echo "fills $@ with bytes, since ffmpeg is not installed: it will not play"; \
	    head -c 16M /dev/urandom > $@.part; \
	fi
	@mv $@.part $@

demo/notes.txt:
	@mkdir -p demo
	@echo "A folder to try fileserve with; delete it when you like." > $@

# A venv outlives the Python that it was made with, as a link that leads nowhere; then it is made
# again.
$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || { \
	    echo "There is no $(PYTHON) here; install Python 3.11 or newer, or set PYTHON=." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "fileserve needs Python 3.11 or newer, but this is $$($(PYTHON) -V); set PYTHON= to a newer one." >&2; \
	    exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
	    echo "Python's venv module is missing: apt-get install python3-venv, then try again." >&2; exit 1; }
	@echo "makes $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)

$(VENV)/installed: pyproject.toml | $(BIN)/python
	@echo "installs fileserve and what it needs into $(VENV)"
	@$(PIP) install --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	@echo "installs fileserve and what its tests need into $(VENV)"
	@$(PIP) install --editable '.[dev]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-bench: pyproject.toml | $(BIN)/python
	@echo "installs fileserve and the servers beside which it is measured into $(VENV)"
	@$(PIP) install --editable '.[bench]'
	@touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	    .import_linter_cache
