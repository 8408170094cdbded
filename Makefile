PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow lint bench clean
demo: .venv/demo       ## Upscale the shipped samples into demo/
	$(BIN)/python examples/demo.py
	$(BIN)/python examples/demo_medical.py

test: .venv/test       ## Install the test tools and run the suite
	$(BIN)/python -m pytest -m "not slow"

test-slow: .venv/test  ## The tests that take minutes
	$(BIN)/python -m pytest -m slow

lint: .venv/lint       ## ruff, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/demo      ## Quality and speed tables; on the sample, or with DATA=FOLDER on the validation scenes
	$(BIN)/python benchmarks/quality.py $(if $(DATA),$(DATA)/satellite)
	$(BIN)/python benchmarks/quality_medical.py $(DATA)
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/speed_series.py

.venv/bin/python:
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"error: got Python {v[0]}.{v[1]}, expected 3.11 or later: run make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

# One stamp per set of tools: the project is installed in place, its extras by need.
.venv/demo .venv/test .venv/lint: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[$(if $(filter test,$(@F)),test$(comma)demo$(comma)dicom-codecs$(comma)vgg,$(@F))]"
	touch $@

comma := ,

clean:
	rm -rf .venv demo build dist
