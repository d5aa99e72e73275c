# One word for each thing one does with this project. `make help` lists them.
PYTHON ?= python3
VENV := .venv/bin
EMBEDDED := PYTHONPATH=plugins $(VENV)/python -m embedded

# What a user gives reaches the program by the environment, never as a piece of a shell line.
export ARCHIVE OPTIONS FILE KEY PHOTO RUN ARM TARGET BASE PYTHON

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1|/' | column -t -s '|'

.PHONY: setup
setup: ## install the locked environment into .venv
	@$(PYTHON) -I embedded/setup.py

.PHONY: run
run: setup ## run the whole workflow: [ARCHIVE=photos.zip] [OPTIONS="scratch_epochs=5 ..."]; WILDLIFE_RUNNER=docker: in containers
	@$(EMBEDDED) run --archive="$$ARCHIVE" --options="$$OPTIONS"

.PHONY: up
up: setup ## start the object store and Airflow, and leave them running
	@$(EMBEDDED) up

.PHONY: down
down: ## stop them; the data stays
	@if [ -x $(VENV)/python ]; then $(EMBEDDED) down; else echo "nothing was running"; fi

.PHONY: put
put: setup ## put a file into the bucket: FILE=model.weights.h5 KEY=weights/model.weights.h5
	@$(EMBEDDED) put --file="$$FILE" --key="$$KEY"

.PHONY: predict
predict: setup ## what a trained network says to photos: PHOTO="bear.jpg ..." [RUN=run-...] [ARM=scratch]
	@$(EMBEDDED) predict --photos="$$PHOTO" --run="$$RUN" --arm="$$ARM"

.PHONY: reap
reap: setup ## remove the containers of dead runs: [DRY_RUN=1] only lists them
	@$(EMBEDDED) reap $(if $(DRY_RUN),--dry-run)

.PHONY: retain
retain: setup ## remove what of the bucket is old: [DRY_RUN=1] only tells it; [OPTIONS="keep_reports=20 ..."] (docs/retention.md)
	@$(EMBEDDED) retain --options="$$OPTIONS" $(if $(DRY_RUN),--dry-run)

.PHONY: test
test: setup lint ## lint, types and all tests
	@$(VENV)/python -m pytest $(ARGS)

.PHONY: lint
lint: setup ## ruff (style, bugs, formatting) and mypy (types)
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@$(VENV)/mypy

.PHONY: drill
drill: setup ## the fault drill: a site of two workers on this machine, every part killed once (20 minutes)
	@$(VENV)/python -m pytest -q -s -m drill tests/drill

.PHONY: bench
bench: setup ## measure against the plain way of doing it: [ARGS="preprocess reading near-duplicates training compare pages"], or a simulated year: ARGS=year
	@PYTHONPATH=plugins $(VENV)/python -m benchmarks $(ARGS)

.PHONY: bench-full
bench-full: setup ## 14,013 photos through store, fetch, preprocess and trainings (about 15 GB of disk, 25 minutes)
	@PYTHONPATH=plugins $(VENV)/python -m benchmarks --full

.PHONY: image
image: ## build the training image with Docker: [TARGET=gpu] [TARGET=airflow: a site's Airflow] [BASE=python:3.12-slim]
	@docker/make-image

.PHONY: base
base: ## make a base for it of Debian's packages, where no registry is reached: sudo make base
	@docker/make-base

.PHONY: site
site: ## make settings and keys of a site in docker/, which docker/compose.yaml starts
	@docker/make-site

# No index address is ever written into a lock: whoever installs uses an index of their own.
COMPILE := $(VENV)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header

.PHONY: lock
lock: setup ## pin every dependency again, with hashes, for Python 3.11 to 3.13
	@$(COMPILE) --group tasks --group tensorflow --group airflow --group embedded --group dev \
		-o requirements/lock.txt
	@$(COMPILE) --group tasks --group cpu -c requirements/lock.txt -o requirements/tasks.txt
	@$(COMPILE) --group tasks --group gpu -c requirements/lock.txt -o requirements/tasks-gpu.txt
	@$(COMPILE) --group airflow -c requirements/lock.txt -o requirements/airflow.txt
	@echo uv | $(COMPILE) -c requirements/lock.txt - -o requirements/uv.txt
