# Sceau. Each target sets up what it needs; `make help` lists them.
PYTHON ?= python3
STAGE  ?= local
PEER_WARM     ?= 60
FUZZ_SECONDS  ?= 60
KILLS         ?= 300
FUZZ_EXAMPLES ?= 12
FUZZ_TARGETS  ?= cda bundle document_reference consent token search media json_text jwk dossier
VERSITYGW := v1.8.0
MINIO     := v0.0.0-20260212201848-7aac2a2c5b7c
VENV   := .venv
BIN    := $(VENV)/bin
export PYTHONPATH := layers:schemas
export PIP_DISABLE_PIP_VERSION_CHECK := 1
SHARED_VALIDATOR := ../shared/tools/fhir-validator
SOURCES := layers schemas functions iac tests benchmarks

include tests/clients/clients.mk
include iac/iac.mk

.DEFAULT_GOAL := help
.PHONY: mutants s3-server contract-minio torture bench-large bench-backup scan scan-secrets scan-dependencies scan-base package sign verify lock-base test-package bench-peer fuzz fuzz-api fuzz-parsers help run journey serve test test-slow check format bench lock clean validator

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: $(VENV)/.runtime ## play the journey on the local stage, then serve until Ctrl-C
	@$(BIN)/python -m sceau.cli run --stage $(STAGE) $(if $(PORT),--port $(PORT))

journey: $(VENV)/.runtime ## play the journey and exit; not 0 if a step fails
	@$(BIN)/python -m sceau.cli journey --stage $(STAGE) $(if $(PORT),--port $(PORT))

s3-server: ## build versitygw, the S3 server of `make run STAGE=s3`, into build/bin (Go), unless one is there
	@$(call go_tool,versitygw,github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW))

contract-minio: $(VENV)/.dev ## hold the store to its contract on MinIO, too: built with Go, minutes; before a release
	@$(call go_tool,minio,github.com/minio/minio@$(MINIO))
	@SCEAU_CONTRACT=versitygw,minio $(BIN)/python -m pytest tests/contract/test_objects.py tests/contract/test_s3_servers.py tests/contract/test_s3_checks.py -k minio

serve: $(VENV)/.runtime ## serve the local stage without playing the journey
	@$(BIN)/python -m sceau.cli serve --stage $(STAGE) $(if $(PORT),--port $(PORT))

test: $(VENV)/.dev ## all tests but the slow suites
	@$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadgroup $(call results,test)

test-slow: $(VENV)/.dev ## the slow suites; the FHIR validator's need Java, Maven and ../shared, and are skipped without
	@if [ -d $(SHARED_VALIDATOR) ] && command -v mvn >/dev/null; then $(MAKE) --no-print-directory validator; fi
	@SCEAU_FHIR_VALIDATOR_JAR=$$(ls build/fhir-validator/target/fhir-offline-validator-1.jar 2>/dev/null) \
	  $(BIN)/python -m pytest -m slow -n 2 --dist loadfile --ignore tests/fuzz --ignore tests/clients --ignore tests/iac/packaging $(call results,test-slow)

test-package: $(VENV)/.package ## build both kinds of package twice and run their bytes (apt; as root: runc, umoci, nginx)
	@$(BIN)/python -m pytest -m slow tests/iac/packaging $(call results,test-package)

validator: build/fhir-validator/target/fhir-offline-validator-1.jar ## build the offline FHIR validator (Java, Maven)

build/fhir-validator/target/fhir-offline-validator-1.jar: $(wildcard $(SHARED_VALIDATOR)/pom.xml)
	@mkdir -p build && rm -rf build/fhir-validator && cp -r $(SHARED_VALIDATOR) build/fhir-validator && chmod -R u+w build/fhir-validator
	@cd build/fhir-validator && mvn -q -B package

check: $(VENV)/.dev ## format, lint and types
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy layers/sceau schemas/sceau_schemas iac tests benchmarks

format: $(VENV)/.dev ## put the code into its format
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

fuzz: fuzz-api fuzz-parsers ## fuzz the parsers and the API (-j2: two at a time); FUZZ_SECONDS for each parser (60), FUZZ_EXAMPLES for each operation (12)

fuzz-api: $(VENV)/.fuzz
	@SCEAU_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest -m slow tests/fuzz

fuzz-parsers: $(FUZZ_TARGETS:%=fuzz-of-%) ## fuzz the parsers only

fuzz-of-%: $(VENV)/.fuzz
	@mkdir -p build/fuzz && $(BIN)/python tests/fuzz/parsers.py $* $(FUZZ_SECONDS) >build/fuzz/$*.log 2>&1 \
	  || { tail -40 build/fuzz/$*.log; exit 1; }; echo "fuzzed $* for $(FUZZ_SECONDS) s: $$(tail -1 build/fuzz/$*.log)"

torture: $(VENV)/.dev ## kill the service KILLS times (300) under load, its sealer too; nothing may be without a trace
	@SCEAU_TORTURE_KILLS=$(KILLS) $(BIN)/python -m pytest -m slow tests/journeys/test_torture.py

mutants: $(VENV)/.mutants ## change the rules of access in small ways and see whether their tests notice (minutes); MODULES=life: only there
	@$(BIN)/python tests/mutants/run.py $(MODULES)

bench: $(VENV)/.dev ## measure, print a table, write build/bench.json; STAGE=s3 on an S3 server
	@SCEAU_BENCH_STAGE=$(STAGE) $(BIN)/python -m benchmarks.run

bench-large: $(VENV)/.dev ## seal onto a log of 1,000,000 entries; a patient's traces among 1,000,000 events
	@$(BIN)/python -m benchmarks.run log-large traces-large

bench-backup: $(VENV)/.dev ## measure backup and restoration of 10,000 documents: minutes, 2 GB of disk
	@SCEAU_BENCH_STAGE=$(STAGE) $(BIN)/python -m benchmarks.run backup

bench-peer: $(VENV)/.dev ## the same acts against HAPI FHIR's JPA server (Java, Maven, wrk, ../shared); PEER_WARM seconds (60)
	@$(BIN)/python -m benchmarks.peer $(PEER_WARM) 15

package: $(VENV)/.dev ## build what STAGE deploys into build/package/STAGE: zips and their layer, or an image; SBOM, digests
	@$(BIN)/python -m iac.packaging build --stage $(STAGE)

sign: $(VENV)/.dev ## sign the package of STAGE with the key that SCEAU_SIGNING_KEY names (PEM, ECDSA P-256)
	@$(BIN)/python -m iac.packaging sign --stage $(STAGE)

verify: $(VENV)/.dev ## check signature and digests of the package of STAGE with SCEAU_VERIFYING_KEY (PEM)
	@$(BIN)/python -m iac.packaging verify --stage $(STAGE)

scan: scan-secrets scan-dependencies scan-base ## all scans; each fails when it can't look

scan-secrets: $(VENV)/.dev ## secrets in the repository and its history (gitleaks)
	@$(BIN)/python -m iac.scanning secrets

scan-dependencies: $(VENV)/.package ## known holes in the locked dependencies; fails where advisories can't be reached
	@$(BIN)/python -m iac.scanning dependencies

scan-base: $(VENV)/.dev ## whether Debian has renewed a package of the image's base (apt)
	@$(BIN)/python -m iac.scanning base

lock-base: $(VENV)/.dev ## take the newest of Debian's packages into iac/packaging/base.lock (needs apt)
	@$(BIN)/python -m iac.packaging lock-base

lock: $(VENV)/.dev ## resolve requirements/*.in into locked files with hashes
	@for kind in runtime dev fuzz clients package mutants; do $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header requirements/$$kind.in -o requirements/$$kind.txt; done

clean: ## remove what was built (the local stage in .local stays)
	@rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "sceau: $(PYTHON) is not there; install Python 3.11 or newer, or set PYTHON=" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sceau: $(PYTHON) is too old; Python 3.11 or newer is needed (set PYTHON=)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "sceau: the virtual environment could not be made; on Debian install python3-venv" >&2; exit 1; }

$(VENV)/.runtime: requirements/runtime.txt | $(VENV)/bin/python
	@$(call install,runtime)

$(VENV)/.dev: requirements/dev.txt | $(VENV)/bin/python
	@$(call install,dev)
	@touch $(VENV)/.runtime

$(VENV)/.fuzz: requirements/fuzz.txt | $(VENV)/bin/python
	@$(call install,fuzz)
	@touch $(VENV)/.runtime $(VENV)/.dev

$(VENV)/.mutants: requirements/mutants.txt | $(VENV)/bin/python
	@$(call install,mutants)
	@touch $(VENV)/.runtime $(VENV)/.dev

$(VENV)/.package: requirements/package.txt | $(VENV)/bin/python
	@$(call install,package)
	@touch $(VENV)/.runtime $(VENV)/.dev

# A program of Go's, by its name and its module: found on the path or in Go's folder, or built here.
define go_tool
if command -v $(1) >/dev/null || [ -x build/bin/$(1) ] || [ -x "$$(go env GOPATH 2>/dev/null)/bin/$(1)" ]; then \
  echo "sceau: $(1) is there"; \
elif ! command -v go >/dev/null; then echo "sceau: Go is not there; install it, or put $(1) on the path" >&2; exit 1; \
else mkdir -p build/bin && echo "sceau: building $(1), which takes minutes" && GOBIN="$(CURDIR)/build/bin" go install $(2); fi
endef

# What a run of tests leaves for `sceau evidence`, under the commit that it was of.
results = --junitxml=build/results/$(1).xml -o junit_suite_name="sceau $$(git describe --always --dirty --abbrev=40 --exclude '*' 2>/dev/null)"

# pip's own report goes to a file: what matters is one sentence.
define install
mkdir -p build; $(BIN)/python -m pip --version >build/install.log 2>&1 \
  || { echo "sceau: the virtual environment in $(VENV) is incomplete: delete the folder and try again" >&2; exit 1; }; \
echo "sceau: installing the locked dependencies ($(1)) into $(VENV)"; \
$(BIN)/python -m pip install -q --require-hashes -r requirements/$(1).txt >build/install.log 2>&1 \
  || { echo "sceau: the dependencies could not be installed: is the package index reachable? (details: build/install.log)" >&2; exit 1; }; \
printf '#!/bin/sh\nPYTHONPATH="%s" exec "%s" -m sceau.cli "$$@"\n' \
  "$(CURDIR)/layers:$(CURDIR)/schemas" "$(CURDIR)/$(BIN)/python" >$(BIN)/sceau && chmod +x $(BIN)/sceau; \
touch $(VENV)/.$(1)
endef
