PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow lint docs models gpu-bundle bench bench-peers clean
demo: .venv/demo       ## Upscale the shipped samples into demo/
	$(BIN)/python examples/demo.py
	$(BIN)/python examples/demo_medical.py

test: .venv/test       ## Install the test tools and run the suite
	$(BIN)/python -m pytest -m "not slow" --nbmake tests examples/new_task notebooks

test-slow: .venv/test  ## The tests that take minutes
	$(BIN)/python -m pytest -m slow

lint: .venv/lint       ## ruff, mypy, and that imports run downwards
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

docs: .venv/docs       ## The documentation site, in site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: .venv/bench      ## Quality and speed tables; on the sample, or with DATA=FOLDER on the validation scenes
	$(BIN)/geomedsr evaluate --model satellite-x4 --against bicubic,lanczos,realesrgan $(call references,satellite-x4,$(DATA),sentinel2_coast/reference.tif)
	$(BIN)/geomedsr evaluate --model satellite-x2 $(call references,satellite-x2,$(DATA),sentinel2_coast/reference.tif)
	$(BIN)/geomedsr evaluate --model ct-x2 $(call references,ct-x2,$(DATA),ct_abdomen)
	$(BIN)/geomedsr evaluate --model mr-x2 $(call references,mr-x2,$(DATA),mr_thigh)
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/speed_series.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/large.py 2048 4096
	$(BIN)/python benchmarks/stopping.py
	$(BIN)/python benchmarks/sharpen_product.py
	$(BIN)/python benchmarks/noise.py
	$(BIN)/python benchmarks/fusion.py $(DATA)
	$(BIN)/python benchmarks/training.py $(DATA)
	$(BIN)/python benchmarks/transfer.py $(DATA)
	$(if $(DATA),$(BIN)/python benchmarks/transfer.py $(DATA) --lossless)
	$(if $(DATA),$(BIN)/python benchmarks/precision.py $(DATA))
	$(if $(DATA),$(BIN)/python benchmarks/edges.py $(DATA))
	$(if $(DATA),$(BIN)/python benchmarks/int8.py $(DATA))
	$(if $(DATA),$(BIN)/python benchmarks/sharpen.py $(DATA))
	$(if $(DATA),$(BIN)/python benchmarks/repair.py $(DATA))

models: .venv/bench     ## Train every shipped model again by its recipe: DATA=FOLDER, see the recipes for what it holds
	$(if $(DATA),,$(error got no DATA, expected the folder that the recipes name: make models DATA=FOLDER))
	$(BIN)/geomedsr train configs/satellite-x4.yaml data.root=$(DATA) --out runs/satellite-x4
	$(BIN)/geomedsr train configs/satellite-x2.yaml data.root=$(DATA) --out runs/satellite-x2
	$(BIN)/geomedsr train configs/ct-x2.yaml data.root=$(DATA) --out runs/ct-x2
	$(BIN)/geomedsr train configs/mr-x2.yaml data.root=$(DATA) --out runs/mr-x2
	mkdir -p runs && git show bbbc9d0:geomedsr/models/weights/ct-slices.safetensors > runs/ct-slices-1.0.0.safetensors
	$(BIN)/geomedsr train configs/ct-slices.yaml data.root=$(DATA) generator.start=runs/ct-slices-1.0.0.safetensors --out runs/ct-slices
	mkdir -p runs && git show f72deae:geomedsr/models/weights/mr-slices.safetensors > runs/mr-slices-1.0.0.safetensors
	$(BIN)/geomedsr train configs/mr-slices.yaml data.root=$(DATA) generator.start=runs/mr-slices-1.0.0.safetensors --out runs/mr-slices
	$(BIN)/geomedsr train configs/sentinel2-20m-x2.yaml data.root=$(DATA) --out runs/sentinel2-20m-x2
	$(BIN)/geomedsr train configs/pan-x2.yaml data.root=$(DATA) --out runs/pan-x2
	$(BIN)/geomedsr train configs/pan-x4.yaml data.root=$(DATA) --out runs/pan-x4
	$(BIN)/geomedsr train configs/repair-gaps.yaml data.root=$(DATA) --out runs/repair-gaps
	mkdir -p runs && git show 4389539:geomedsr/models/weights/repair-jpeg.safetensors > runs/repair-jpeg-1.0.0.safetensors
	$(BIN)/geomedsr train configs/repair-jpeg.yaml data.root=$(DATA) generator.start=runs/repair-jpeg-1.0.0.safetensors --out runs/repair-jpeg

gpu-bundle: .venv/test  ## One folder, build/gpu-bundle, that tests, measures and trains where there is a GPU: DATA=FOLDER as for models
	$(BIN)/python gpu/bundle.py $(DATA)

bench-peers: .venv/peers-env ## The same work by opensr-utils and MONAI
	.venv/peers-env/bin/python benchmarks/peers.py joint
	.venv/peers-env/bin/python benchmarks/peers.py shipped 2048 1

# A recipe's validation scenes under DATA, or the shipped sample.
references = $(if $(DATA),configs/$(1).yaml data=$(2),examples/$(3))

.venv/bin/python:
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"error: got Python {v[0]}.{v[1]}, expected 3.11 or later: run make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

# One stamp per set of tools: the project is installed in place, its extras by need. spandrel asks for torchvision, which
# does not import beside the pinned torch, and which it does not need for what is used here.
.venv/demo .venv/bench .venv/test .venv/lint .venv/docs: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[$(if $(filter test,$(@F)),test$(comma)demo$(comma)dicom-codecs$(comma)notebook$(comma)peers$(comma)vgg,$(if $(filter bench,$(@F)),codecs$(comma)demo$(comma)evaluate$(comma)peers$(comma)cluster,$(@F)))]"
	$(if $(filter test,$(@F)),$(BIN)/python -m pip install -q --no-deps -c constraints.txt spandrel einops)
	touch $@

# They need an environment of their own; torchvision does not import beside torch 2.13, and is not needed.
.venv/peers-env: .venv/bin/python
	$(BIN)/python -m venv $@
	$@/bin/pip install -q -c constraints.txt -e . opensr-utils==2.1.0 monai==1.6.1
	$@/bin/pip uninstall -q -y torchvision

comma := ,

clean:
	rm -rf .venv demo site build dist
