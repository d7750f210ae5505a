# Clients that nobody here wrote (tests/clients): the Python ones go into .venv, the Node ones beside their tests.
NODE_CLIENTS := tests/clients/node_modules/.package-lock.json

.PHONY: test-clients lock-clients

test-clients: $(VENV)/.clients $(NODE_CLIENTS) ## clients that nobody here wrote against the service (slow); some need Node 20.19 and npm
	@$(BIN)/python -m pytest -m slow tests/clients

lock-clients: ## resolve tests/clients/package.json into a lock with hashes and without addresses
	@cd tests/clients && rm -f package-lock.json && npm install --silent --package-lock-only

$(VENV)/.clients: requirements/clients.txt | $(VENV)/bin/python
	@$(call install,clients)
	@touch $(VENV)/.runtime $(VENV)/.dev

# Without npm there is nothing to install: those tests then say that they are skipped.
$(NODE_CLIENTS): tests/clients/package-lock.json tests/clients/.npmrc
	@command -v npm >/dev/null || exit 0; mkdir -p build; echo "sceau: installing the locked Node clients"; \
	npm ci --silent --prefix tests/clients >build/npm.log 2>&1 \
	  || { echo "sceau: the Node clients could not be installed: is Node 20.19 there and its registry reachable? (details: build/npm.log)" >&2; exit 1; }; \
	touch $@
