# Targets of iac/. Included by the Makefile.
.PHONY: plan evidence test-iac lock-iac

plan: $(VENV)/.dev ## plan the infrastructure of STAGE and judge it by the controls; WITHOUT_STATE=1: as if nothing were there
	@$(BIN)/python -m iac.plan --stage $(STAGE) $(if $(WITHOUT_STATE),--without-state)

evidence: $(VENV)/.dev ## for an auditor: what each HDS requirement of STAGE rests on, and what proved it (build/iac/STAGE/evidence.html)
	@$(BIN)/python -m sceau.cli evidence --stage $(STAGE)

test-iac: $(VENV)/.iac ## the suites of iac/, slow ones too: Terraform (with Go and ../shared), CloudFormation, the controls
	@$(BIN)/python -m pytest tests/iac --ignore tests/iac/packaging -n 2 --dist loadgroup

test-slow: $(VENV)/.iac # its slow suites are among the slow suites

lock: lock-iac

lock-iac: $(VENV)/.dev
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  -c requirements/dev.txt requirements/iac.in -o requirements/iac.txt

$(VENV)/.iac: requirements/iac.txt | $(VENV)/bin/python
	@$(call install,iac)
	@touch $(VENV)/.runtime $(VENV)/.dev
