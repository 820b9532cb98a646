# `make demo` and `make test` need nothing but Python 3.11, a C++ compiler and cmake: they make
# .venv with everything else in it, ROS 2 Kilted included. Stamps in .venv say what is done already.
# PYTHON may also be 3.10 or 3.12 to 3.14: there are ROS wheels for those.
SHELL := /bin/bash

PYTHON ?= python3.11
VENV ?= .venv
# Arguments of `make demo`, empty for the demo's own: QUERY="the blue square" SECONDS=20, VIDEO=path.mp4,
# a folder, a bag (TOPIC=/cam/image_raw), a webcam (VIDEO=0) or rtsp://..., SCENE=photo for objects before photographs, PHOTOS=folder of your own, SEED=1 another of them.
QUERY ?=
VIDEO ?=
TOPIC ?=
SCENE ?=
PHOTOS ?=
SEED ?=
# Of `make run` alone: options of the page, PAGE="--host 0.0.0.0 --port 8080".
PAGE ?=
# bash counts the seconds of its life in a variable of this name, so only the command line sets it.
override SECONDS := $(if $(filter command line,$(origin SECONDS)),$(SECONDS))
# `make test FAST=1` leaves the slow tests out; TESTS="tests/ros/test_node.py -k header" picks some.
FAST ?=
TESTS ?=
# Processes that share the tests out among them; 0 is one, in which breakpoints and -s work.
WORKERS ?= logical
# `make train-tiny STEPS=20`: steps of each stage.
STEPS ?= 20

BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
SOURCES := virst_model virst_ros virst_viewer tests launch setup.py

# Another ROS installation or virtual environment of this shell would mix with the one in .venv. The
# guard and the library path are what the ROS wheels' start-up hook leaves behind in a child.
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH PYTHONPATH PYTHONHOME
unexport LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE RMW_IMPLEMENTATION ROS_DISTRO

export ROS_LOG_DIR ?= $(CURDIR)/out/ros_log

# For recipes that start ROS processes: the ament index of .venv.
RUN := AMENT_PREFIX_PATH="$(abspath $(VENV))" PATH="$(abspath $(BIN)):$$PATH"

.DELETE_ON_ERROR:
.PHONY: help setup demo run bench bench-ros train-tiny test long settings lint format floors pythons test-distros clean

help:
	@echo 'make setup    .venv with torch, ROS 2 and virst_interfaces in it (PYTHON=/path/to/python3.11)'
	@echo 'make demo     camera, node and client for 20 s; pictures and report in out/demo'
	@echo '              (QUERY="the blue square", SECONDS=20; VIDEO=path.mp4, folder, bag or webcam, TOPIC=/of/a/bag;'
	@echo '              SCENE=photo, PHOTOS=folder, SEED=1)'
	@echo 'make run      camera, node and a page to look at, until Ctrl-C (QUERY, VIDEO, TOPIC, SCENE, PHOTOS, SEED as above;'
	@echo '              PAGE="--host 0.0.0.0 --port 8080")'
	@echo 'make bench    rates, latencies and parts of the model here (bench-ros: camera to mask over DDS, and beside browsers)'
	@echo 'make train-tiny   trunks and the paper's stages for a few steps on synthetic scenes (STEPS=20)'
	@echo 'make test     ruff and all tests (FAST=1: without the slow ones; TESTS="tests/ros/test_node.py", WORKERS=0)'
	@echo 'make long     hundreds of transitions of the node on a busy machine, and what is compiled to C++ (half an hour)'
	@echo 'make settings parity, restarts and masks with the kernels of other CPUs (an hour)'
	@echo 'make lint     ruff check and ruff format --check'
	@echo 'make format   ruff format and ruff check --fix'
	@echo 'make floors   the tests of the model with the oldest versions of everything but torch'
	@echo 'make pythons  dependencies, virst_interfaces and ROS images on other Pythons, without torch'
	@echo 'make test-distros  the tests of the node on wheels of ROS 2 Jazzy and on other Pythons, without torch'
	@echo 'make clean    removes the virtual environments, out and caches'

setup: $(STAMPS)/package

demo: setup
	@$(RUN) "$(BIN)/python" -m virst_ros.demo --out out/demo \
	  $(if $(QUERY),--query "$$QUERY") $(if $(VIDEO),--video "$$VIDEO") $(if $(TOPIC),--topic "$$TOPIC") $(if $(SECONDS),--seconds $(SECONDS)) \
	  $(if $(SCENE),--scene "$$SCENE") $(if $(PHOTOS),--photographs "$$PHOTOS") $(if $(SEED),--seed "$$SEED")

run: setup
	@$(RUN) "$(BIN)/python" -m virst_ros.demo.run --out out/run \
	  $(if $(QUERY),--query "$$QUERY") $(if $(VIDEO),--video "$$VIDEO") $(if $(TOPIC),--topic "$$TOPIC") \
	  $(if $(SCENE),--scene "$$SCENE") $(if $(PHOTOS),--photographs "$$PHOTOS") $(if $(SEED),--seed "$$SEED") $$PAGE

demo run: export QUERY := $(QUERY)
demo run: export VIDEO := $(VIDEO)
demo run: export TOPIC := $(TOPIC)
demo run: export SCENE := $(SCENE)
demo run: export PHOTOS := $(PHOTOS)
demo run: export SEED := $(SEED)
run: export PAGE := $(PAGE)

bench: setup
	@$(RUN) "$(BIN)/python" -m virst_model bench --queries 1,4 --json out/bench.json

bench-ros: setup
	@$(RUN) "$(BIN)/python" -m virst_ros.demo.bench --json out/bench_ros.json
	@$(RUN) "$(BIN)/python" -m virst_ros.demo.bench_viewer --json out/bench_viewer.json

# What training is made of, in minutes; the weights in out/train-tiny are worth nothing.
train-tiny: setup
	@rm -rf out/train-tiny
	@"$(BIN)/python" -m virst_model train trunks alignment few_image propagation preset=tiny \
	  data=synthetic steps=$(STEPS) warmup=2 log_every=1 out=out/train-tiny

# A worker takes neighbours one after the other, so that most of what a file shares is made once.
test: setup lint
	@$(RUN) "$(BIN)/python" -m pytest --numprocesses=$(WORKERS) --maxprocesses=4 --dist=worksteal \
	  $(if $(FAST),-m "not slow and not long") $(TESTS)

# Hundreds of transitions of the node on a busy machine; compilers.
long: setup
	@$(RUN) "$(BIN)/python" -m pytest -m long $(TESTS)

# What rounds in other ways: kernels of older CPUs, other orders of sums, another number of threads.
KERNELS = NATIVE=1 ATEN_CPU_CAPABILITY=default ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 \
  MKL_CBWR=COMPATIBLE $(if $(shell grep -m1 avx512f /proc/cpuinfo),ATEN_CPU_CAPABILITY=avx512)
settings: setup
	@for threads in 1 2; do for kernels in $(KERNELS); do \
	  echo "settings: $$kernels, $$threads threads"; \
	  env $$kernels VIRST_THREADS=$$threads $(RUN) "$(BIN)/python" -m pytest -q tests/model/test_parity.py \
	    tests/train/test_restart.py tests/test_settings.py \
	    -k "not (with_other_kernels or recorded_masks) or native" || exit; \
	done; done

lint: setup
	@"$(BIN)/ruff" check $(SOURCES)
	@"$(BIN)/ruff" format --check $(SOURCES)

format: setup
	@"$(BIN)/ruff" format $(SOURCES)
	@"$(BIN)/ruff" check --fix $(SOURCES)

# These leave the virtual environments that they make.
floors:
	@scripts/check_floors.sh "$(PYTHON)" .venv-floors

PYTHONS ?= python3.10 python3.12 python3.13 python3.14
pythons:
	@scripts/check_pythons.sh .venv-pythons $(PYTHONS)

DISTRO_PYTHONS ?= python3.10 python3.12 python3.13
test-distros:
	@scripts/check_distros.sh .venv-distros $(DISTRO_PYTHONS)

clean:
	rm -rf "$(VENV)" .venv-floors .venv-pythons .venv-distros out .pytest_cache .ruff_cache *.egg-info
	find virst_model virst_ros virst_viewer tests launch -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMPS)/venv: | scripts/check_tools.sh
	@scripts/check_tools.sh "$(PYTHON)"
	@echo 'setup: virtual environment in $(VENV)'
	@"$(PYTHON)" -m venv "$(VENV)"
	@mkdir -p "$(STAMPS)" && touch "$@"

REQUIREMENTS := $(addprefix requirements/,model.txt train.txt viewer.txt ros.txt ros_build.txt dev.txt)
$(STAMPS)/requirements: $(STAMPS)/venv $(REQUIREMENTS) requirements/no_deps.txt
	@echo 'setup: python packages (minutes the first time)'
	@"$(BIN)/python" -m pip install -q $(addprefix -r ,$(REQUIREMENTS))
	@SAM2_BUILD_CUDA=0 "$(BIN)/python" -m pip install -q --no-deps --no-build-isolation -r requirements/no_deps.txt
	@touch "$@"

INTERFACES := $(wildcard virst_interfaces/* virst_interfaces/*/*)
$(STAMPS)/interfaces: $(STAMPS)/requirements $(INTERFACES) scripts/build_interfaces.sh
	@echo 'setup: virst_interfaces'
	@scripts/build_interfaces.sh "$(VENV)" > "$(VENV)/build_interfaces.log" 2>&1 || \
	  { tail -n 30 "$(VENV)/build_interfaces.log" >&2; exit 1; }
	@touch "$@"

# An editable install, and links to what ROS looks for in lib/virst_ros, share/ and the ament index.
$(STAMPS)/package: $(STAMPS)/interfaces setup.py setup.cfg pyproject.toml scripts/link_package.sh \
    $(wildcard virst_model/__init__.py virst_ros/__init__.py virst_viewer/__init__.py launch/*.launch.py config/* rviz/* foxglove/*)
	@echo 'setup: virst_ros'
	@"$(BIN)/python" -m pip install -q --no-deps --no-build-isolation -e .
	@scripts/link_package.sh "$(VENV)"
	@touch "$@"
