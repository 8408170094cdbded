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

bench: .venv/bench      ## Quality and speed tables; on the sample, or with DATA=FOLDER on the validation scenes
	$(BIN)/geomedsr evaluate --model satellite-x4 $(call references,satellite-x4,$(DATA)/satellite,sentinel2_coast/reference.tif)
	$(BIN)/geomedsr evaluate --model satellite-x2 $(call references,satellite-x2,$(DATA)/satellite,sentinel2_coast/reference.tif)
	$(BIN)/geomedsr evaluate --model ct-x2 $(call references,ct-x2,$(DATA),ct_abdomen)
	$(BIN)/geomedsr evaluate --model mr-x2 $(call references,mr-x2,$(DATA),mr_thigh)
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/speed_series.py
	$(BIN)/python benchmarks/training.py $(DATA)

# A recipe's validation scenes under DATA, or the shipped sample.
references = $(if $(DATA),configs/$(1).yaml data=$(2),examples/$(3))

.venv/bin/python:
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"error: got Python {v[0]}.{v[1]}, expected 3.11 or later: run make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

# One stamp per set of tools: the project is installed in place, its extras by need.
.venv/demo .venv/bench .venv/test .venv/lint: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[$(if $(filter test,$(@F)),test$(comma)demo$(comma)dicom-codecs$(comma)vgg,$(if $(filter bench,$(@F)),demo$(comma)evaluate,$(@F)))]"
	touch $@

comma := ,

clean:
	rm -rf .venv demo build dist
