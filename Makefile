# The human interface; `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .tools/uv/bin/uv)
# CUDA build of torch (cu126, cu128, cpu, ...); empty takes the ordinary build. Remembered in .venv.
TORCH_BACKEND ?= $(shell cat .venv/.torch_backend 2>/dev/null)
READY := .venv/.ready$(if $(TORCH_BACKEND),-$(TORCH_BACKEND))
CRF_READY := .venv/.ready-crf
PY := .venv/bin/python
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile -q

.PHONY: help
help:  ## Show this list
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

.PHONY: setup
setup: $(READY)  ## Create .venv when it is missing or stale (TORCH_BACKEND=cu126 chooses torch's build)

.tools/uv/bin/uv:
	$(PYTHON) -m venv .tools/uv
	.tools/uv/bin/pip install --quiet uv

$(READY): requirements.lock pyproject.toml | $(filter .tools/%,$(UV))
	@! [ -L .venv ] || { echo ".venv is a link to another environment; set that one up instead"; exit 1; }
	$(UV) venv --quiet --clear --python '>=3.11' .venv
ifeq ($(TORCH_BACKEND),)
	$(UV) pip install --compile-bytecode --require-hashes -r requirements.lock
else
	$(UV) pip install --compile-bytecode --torch-backend=$(TORCH_BACKEND) $$(grep -oE '^(torch|torchvision)==[^ ;]+' requirements.lock)
	awk '/^[a-z0-9]/ {keep = !/^(torch|torchvision|triton|nvidia-|cuda-)/} keep' requirements.lock > .venv/rest.lock
	$(UV) pip install --compile-bytecode --no-deps --require-hashes -r .venv/rest.lock
	echo '$(TORCH_BACKEND)' > .venv/.torch_backend
endif
	$(UV) pip install --quiet --no-deps -e .
	$(PY) -m compileall -q medsam_exp hydra_plugins
	touch $@

.PHONY: setup-crf
setup-crf: $(CRF_READY)  ## Add the CRF post-processing (builds C++: needs a compiler)

$(CRF_READY): requirements-crf.lock $(READY)
	$(UV) pip install --no-deps -e '.[crf]' 'pydensecrf==1.0rc3'
	touch $@

.PHONY: demo
demo: $(READY)  ## Segment drawn scans from texts with the embedded models; prints the table, writes the report
	$(PY) run.py +experiment=demo

.PHONY: test
test: $(READY)  ## Default tests in minutes: parts, contracts, goldens; a run, a training, a sweep; CPU, no downloads
	$(PYTEST)

.PHONY: test-integration
test-integration: $(READY)  ## Every experiment, interruptions, launched sweeps, page commands, browser, packaging
	$(PYTEST) --run-integration -m integration

.PHONY: test-all
test-all: test test-integration  ## Both of them

.PHONY: coverage
coverage: $(READY)  ## Which lines the default tests reach; the pages lie in build/coverage
	$(PYTEST) --cov --cov-report=term:skip-covered --cov-report=html:build/coverage

.PHONY: test-slow
test-slow: $(READY)  ## All tests, also full-size networks (random weights), the commands of the pages, an installed wheel
	$(PY) -m pytest -q --run-slow --timeout 0

.PHONY: planted-faults
planted-faults: $(READY)  ## Plant known faults one at a time and tell which test finds each (ARGS="--only ID")
	$(PY) -m tests.planted_faults.run $(ARGS)

.PHONY: chaos
chaos: $(READY)  ## Disturb runs, sweeps, trainings, the app (kills, full disks), then compare (ARGS="--rounds 50 --seed 1")
	OMP_NUM_THREADS=1 $(PY) -m tests.chaos.run $(ARGS)

.PHONY: soak
soak: $(READY)  ## Train, infer and serve the app for hours, watch memory, handles, files (ARGS="--minutes 120 --keep DIR")
	OMP_NUM_THREADS=1 $(PY) -m tests.chaos.soak $(ARGS)

.PHONY: fuzz
fuzz: $(READY)  ## Read thousands of damaged files by every reader; prints what came of them (ARGS="--count 20000 --seed 1")
	OMP_NUM_THREADS=1 $(PY) -m tests.fuzz $(ARGS)

LOWEST := build/lowest
# Tests of what a zero-shot run does, on real numbers.
LOWEST_TESTS := tests/clip tests/saliency tests/sam tests/cli/test_segment.py

.PHONY: test-lowest
test-lowest: | $(filter .tools/%,$(UV))  ## The core with the lowest versions that pyproject.toml allows (Linux, 6 GB; not in .ci/run)
	$(UV) venv --quiet --clear --python 3.11 $(LOWEST)
	$(UV) pip install --python $(LOWEST)/bin/python --resolution lowest-direct -e '.[test]'
	$(LOWEST)/bin/python run.py +experiment=demo data.count=2
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -q $(LOWEST_TESTS)

.PHONY: check
check: $(READY)  ## Lint, types, YAML
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m yamllint --strict conf .github .pre-commit-config.yaml .yamllint.yaml

.PHONY: format
format: $(READY)  ## Format the code and mend what the linter can
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

.PHONY: bench
bench: $(READY)  ## Benchmarks against plain references in one table (half an hour; ARGS="m2ib host" takes these alone)
	$(PY) -m benchmarks $(ARGS)

.PHONY: tiny-weights
tiny-weights: $(READY)  ## Train the embedded CLIP and SAM from scratch on drawn scans (about 90 minutes on 2 cores)
	$(PY) -m experiments.tiny_weights.build_tokenizer
	$(PY) run.py +experiment=tiny_sam
	$(PY) run.py +experiment=tiny_clip
	$(PY) -m experiments.tiny_weights.embed
	$(PY) run.py +experiment=tiny_clip_second
	$(PY) -m experiments.tiny_weights.embed

.PHONY: phantom-table
phantom-table: $(READY)  ## The embedded models against their controls on 200 held-out drawn scans
	$(PY) -m experiments.phantom_zeroshot.collect

.PHONY: grounding-table
grounding-table: $(READY)  ## The veto and the control texts on held-out drawn scans
	$(PY) -m experiments.grounding.collect

.PHONY: reproduce
reproduce: $(READY)  ## The paper's tables beside its numbers; one alone: make table1 ... table6
	$(PY) -m experiments.reproduce $(or $(TABLE),all)

TABLES := $(addprefix table,1 2 3 4 5 6)
ABLATIONS := $(addprefix ablation-,saliency text postprocess component-filter prompt fusion loss)

.PHONY: $(TABLES)
$(TABLES): $(READY)
	$(PY) -m experiments.reproduce $@ $(ARGS)

.PHONY: $(ABLATIONS)
$(ABLATIONS): $(READY)
	$(PY) -m experiments.reproduce $@ --on phantom $(ARGS)

.PHONY: reproduce-phantom
reproduce-phantom: $(READY)  ## All tables and ablations on drawn scans with the embedded models, checked
	$(PY) -m experiments.reproduce all --on phantom --processes 2

.PHONY: methods-table
methods-table: $(READY) $(CRF_READY)  ## Saliency x post-processing x prompt on 200 held-out drawn scans
	OMP_NUM_THREADS=1 $(PY) -m experiments.reproduce methods --on phantom-large

.PHONY: leaderboard
leaderboard: $(READY)  ## Saliency methods x kinds of drawn scans x texts, with presence, checked
	OMP_NUM_THREADS=1 $(PY) -m experiments.reproduce leaderboard --on phantom-large $(ARGS)

.PHONY: text-stress
text-stress: $(READY)  ## Texts under stress on drawn scans: contradictory, shorter, longer, misspelt, translated, checked
	OMP_NUM_THREADS=1 $(PY) -m experiments.reproduce text_stress --on phantom-large $(ARGS)

.PHONY: tuning-without-masks
tuning-without-masks: $(READY)  ## What scores without true masks are worth for choosing settings, on drawn scans, checked
	OMP_NUM_THREADS=1 $(PY) -m experiments.tuning_without_masks.collect $(ARGS)

.PHONY: noisy-labels
noisy-labels: $(READY)  ## What helps against wrong labels, on scans of yours (ARGS="data.root=FOLDER")
	OMP_NUM_THREADS=1 $(PY) -m experiments.noisy_labels.collect $(ARGS)

.PHONY: study
study: $(READY)  ## Text x map x segmenter x weak labels on drawn scans, with effects corrected for their number
	OMP_NUM_THREADS=1 $(PY) -m experiments.reproduce study --on phantom-large $(ARGS)
	$(PY) -m experiments.study.page

.PHONY: component-ablation-table
component-ablation-table: $(READY)  ## The chain of parts (Table 4) on 200 held-out drawn scans
	$(PY) -m experiments.reproduce table4 --on phantom-large

.PHONY: losses-table
losses-table: $(READY)  ## The four losses and the released one, three seeds each
	OMP_NUM_THREADS=1 $(PY) -m experiments.reproduce ablation-loss --on phantom-large

.PHONY: collect
collect: $(READY)  ## Tables and report of a sweep, or of any folder of runs: make collect RUN=FOLDER
	$(PY) -m medsam_exp collect $(RUN)

.PHONY: runs
runs: $(READY)  ## List runs and sweeps: make runs ARGS="--sort sam/dsc --jobs" (or --json)
	$(PY) -m medsam_exp runs $(ARGS)

.PHONY: du
du: $(READY)  ## What takes the space in outputs/, by stage and by run
	$(PY) -m medsam_exp du $(ARGS)

.PHONY: clean-artifacts
clean-artifacts: $(READY)  ## Offer stored results that no run needs; asks first (ARGS=--yes for scripts)
	$(PY) -m medsam_exp clean $(ARGS)

.PHONY: wandb-sync
wandb-sync: $(READY)  ## Send W&B runs that were kept offline (ARGS=--dry-run lists them)
	$(PY) -m medsam_exp sync outputs $(ARGS)

.PHONY: app
app: $(READY)  ## Open the web app on this machine: an image, a text, clicks that correct (ARGS="--port 8000")
	$(PY) -m medsam_exp app $(ARGS)

.PHONY: weights
weights: $(READY)  ## Published weights: what there is; make weights GET="biomedclip sam_vit_h" fetches
	$(PY) -m medsam_exp weights $(if $(GET),get $(GET),list)

.PHONY: doctor
doctor: $(READY)  ## What this machine can run, what each experiment lacks, what mends it
	$(PY) -m medsam_exp doctor $(ARGS)

.PHONY: prepare
prepare: $(READY)  ## Prepare a download: make prepare NAME=busi SRC=BUSI.zip [OUT=FOLDER]
	$(PY) -m medsam_exp prepare $(NAME) $(SRC) $(OUT) $(ARGS)

.PHONY: data-check
data-check: $(READY)  ## Copies, leaks, faulty masks, burnt-in marks, with pictures (DATA=FOLDER or CSV)
	$(PY) -m medsam_exp data-check "$(DATA)" $(ARGS)

.PHONY: docs
docs: $(READY)  ## Build the documentation as a site into build/docs, offline
	$(PY) -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "open build/docs/index.html"

.PHONY: wheel
wheel: $(READY)  ## Build the wheel with conf/ and the embedded models into dist/
	$(UV) build --quiet --wheel
	@ls dist/*.whl

.PHONY: lock
lock:  ## Renew the lock files from pyproject.toml and requirements.constraints
	$(UV) pip compile pyproject.toml --extra all --extra dev --extra docs -c requirements.constraints --universal --generate-hashes --python-version 3.11 --no-header -q -o requirements.lock
	$(UV) pip compile pyproject.toml --extra crf -c requirements.lock --universal --generate-hashes --python-version 3.11 --no-header -q -o requirements-crf.lock

.PHONY: audit
audit: | $(filter .tools/%,$(UV))  ## Ask the package index for known vulnerabilities of the locked versions (needs the network)
	$(UV) tool run pip-audit==2.10.1 --disable-pip --require-hashes -r requirements.lock

.PHONY: clean
clean:  ## Remove .venv and caches; results in outputs/ stay
	rm -rf .venv .tools build *.egg-info .mypy_cache .ruff_cache .pytest_cache
