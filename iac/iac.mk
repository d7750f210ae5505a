# Targets of iac/. Included by the Makefile.
.PHONY: guard plan deploy smoke destroy evidence test-iac lock-iac

plan: $(VENV)/.dev ## plan the infrastructure of STAGE and judge it by the controls; WITHOUT_STATE=1: as if nothing were there
	@$(BIN)/python -m iac.plan --stage $(STAGE) $(if $(WITHOUT_STATE),--without-state)

guard: ## what was planned for STAGE on AWS under cfn-guard, by the rules of iac/aws/guard; a second opinion beside the controls
	@command -v cfn-guard >/dev/null || { echo "sceau: cfn-guard is not there: cargo install --locked cfn-guard --version 3.2.0" >&2; exit 1; }
	@test -f build/iac/$(STAGE)/service.template.json || { echo "sceau: stage $(STAGE) has no templates: make plan STAGE=$(STAGE)" >&2; exit 1; }
	@cfn-guard validate --rules iac/aws/guard $(foreach part,network journal service,--data build/iac/$(STAGE)/$(part).template.json)

deploy: $(VENV)/.dev ## plan STAGE, judge it, apply it, look at what came of it, write the evidence; PLANNED=1: apply the plan that is there
	@$(if $(PLANNED),:,$(MAKE) --no-print-directory plan STAGE=$(STAGE))
	@$(BIN)/python -m iac.deploying apply --stage $(STAGE)

smoke: $(VENV)/.dev ## ask the deployed STAGE from outside, on synthetic data only
	@$(BIN)/python -m sceau.cli smoke --stage $(STAGE) --report build/iac/$(STAGE)/smoke.json

destroy: $(VENV)/.dev ## take STAGE down, where no bucket of it holds anything; CONFIRM=STAGE
	@$(BIN)/python -m iac.deploying destroy --stage $(STAGE) --confirm "$(CONFIRM)"

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
