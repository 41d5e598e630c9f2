# Rollcall's tasks. `make test` is all that CI does, on a machine that has only Go.

GO ?= go

# The tools of `make lint`: exact versions, kept out of the product's go.mod.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOIMPORTS   := golang.org/x/tools/cmd/goimports@v0.51.0

# TAP is for machines; a person reads the other one more easily.
REPORTER ?= $(if $(CI),tap,spec)

# SQLite is C translated to Go, one package of 6 MB, in which the race detector would spend three
# quarters of the tests' time. Its connections share no memory that it could check. The driver around
# it, and everything else, is checked, except for the hashes of passwords, which take half of the time
# of the console's tests with it.
RACE := -race -gcflags=github.com/ncruces/go-sqlite3-wasm/...=-race=false -gcflags=golang.org/x/crypto/...=-race=false

# Tools run without the race detector, whatever GOFLAGS says.
TOOL := $(GO) run -race=false

BUILD := $(CURDIR)/.build
# The code that people wrote: new files too, generated ones not.
SOURCES = $(shell git ls-files --cached --others --exclude-standard '*.go' | xargs grep -sL '^// Code generated .* DO NOT EDIT\.$$')

.DEFAULT_GOAL := help

.PHONY: help
help: ## shows this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

.PHONY: run
run: ## serves on http://127.0.0.1:8080 with an embedded database
	$(GO) run .

.PHONY: build
build: ## builds the server into .build/, without debugging information as `go run` does
	$(GO) build -trimpath -ldflags='-s -w' -o $(BUILD)/rollcall .

.PHONY: generate
generate: ## writes the code and docs/schema.graphql from the GraphQL schemas, and THIRD_PARTY_NOTICES
	$(TOOL) ./graph/selection/generate
	$(TOOL) ./management/generate
	cd bench/stock && $(TOOL) ./generate
	$(TOOL) ./internal/notices
	mkdir -p $(BUILD)
	$(GO) run . schema >$(BUILD)/schema.graphql
	cp $(BUILD)/schema.graphql docs/
	cd examples/app-server-go && $(GO) generate

.PHONY: deps
deps: ## installs what the tests need where it is missing
	@scripts/deps

.PHONY: fresh
fresh: ## fails if what `make generate` writes is not up to date
	@scripts/fresh "graph/generated management/generated bench/stock/generated docs/schema.graphql examples/app-server-go/generated.go THIRD_PARTY_NOTICES" $(MAKE) --no-print-directory generate

.PHONY: lint
lint: ## checks format, imports, wording, go vet and staticcheck, in the other modules too
	@scripts/silent "not formatted; run: make format" gofmt -s -l $(SOURCES)
	@scripts/silent "imports not in order; run: make format" $(TOOL) $(GOIMPORTS) -l -local rollcall/ $(SOURCES)
	@scripts/wording
	$(GO) vet ./...
	cd bench && $(GO) build ./... && $(GO) vet ./...
	cd e2e/provider && $(GO) vet ./...
	cd examples/app-server-go && $(GO) vet ./...
	$(TOOL) $(STATICCHECK) ./...
	cd bench && $(TOOL) $(STATICCHECK) ./...
	cd e2e/provider && $(TOOL) $(STATICCHECK) ./...
	cd examples/app-server-go && $(TOOL) $(STATICCHECK) ./...

.PHONY: format
format: ## puts format and imports right
	gofmt -s -w $(SOURCES)
	$(TOOL) $(GOIMPORTS) -w -local rollcall/ $(SOURCES)

# All of it builds with the race detector, the server under the end-to-end tests and what vet and
# staticcheck read too, so that most packages are compiled once. Fuzzing is too slow with it.
.PHONY: test
test: export GOFLAGS := $(strip $(GOFLAGS) $(RACE))
test: deps fresh lint ## everything: deps, fresh, lint, the Go tests, the end-to-end tests, the client's, fuzz
	$(GO) build -o $(BUILD)/ . ./internal/testenv/cmd/withservers
	$(BUILD)/withservers -- $(MAKE) --no-print-directory go-tests e2e-tests
	$(MAKE) --no-print-directory client-tests
	GOFLAGS= FUZZTIME=$${FUZZTIME:-3s} $(MAKE) --no-print-directory fuzz

.PHONY: go-tests
go-tests: # needs no server: each package starts its own where none is named
	$(GO) test $(RACE) -ldflags=-w -vet=off -timeout 20m ./...
	cd bench && $(GO) test $(RACE) -ldflags=-w -vet=off ./...

.PHONY: test-quick
test-quick: ## the Go tests on SQLite alone, without the race detector: needs only Go
	ROLLCALL_TEST_SQLITE_ONLY=1 $(GO) test -trimpath -vet=off $(or $(PKG),./...)

.PHONY: e2e-tests
e2e-tests: # needs `make deps`; ROLLCALL_BIN names another server to test
	cd e2e && ROLLCALL_BIN="$${ROLLCALL_BIN-$(BUILD)/rollcall}" npm test --silent -- --test-reporter=$(REPORTER)

.PHONY: client-tests
client-tests: # needs `make deps`; ROLLCALL_BIN as above
	cd clients/js && ROLLCALL_BIN="$${ROLLCALL_BIN-$(BUILD)/rollcall}" npm test --silent -- --test-reporter=$(REPORTER)

.PHONY: fuzz
fuzz: ## runs every fuzz target for FUZZTIME=20s, or those that match TARGET=name
	@GO="$(GO)" scripts/fuzz $(TARGET)

# The packages whose tests use Redis.
USERS_OF_REDIS := ./internal/redis ./internal/bus ./internal/throttle ./internal/ratelimit ./internal/presence/... ./node

# Galera needs the Debian packages galera-4, rsync and lsof, which `make deps` does not install.
.PHONY: test-engines
test-engines: ## the tests on engines that `make test` lacks: a Galera cluster of three members, failovers of Redis under load, a Redis Cluster
	ROLLCALL_TEST_ENGINES=1 $(GO) test -timeout 10m -p 1 -run '^TestGalera' -count=1 -v ./cli ./internal/database
	ROLLCALL_TEST_ENGINES=1 $(GO) test -timeout 10m -run '^Test(SentinelFailovers|RedisCluster)' -count=1 -v ./internal/presence
	ROLLCALL_TEST_ENGINES=1 $(GO) test -timeout 10m -run '^TestCluster' -count=1 -v ./internal/redis
	ROLLCALL_TEST_REDIS_BUCKETS=1 $(GO) test -timeout 20m -p 1 -count=1 ./internal/presence/...
	ROLLCALL_TEST_REDIS_CLUSTER=1 $(GO) test -timeout 20m -p 1 -count=1 $(USERS_OF_REDIS)

# FROM is the last commit before the latest migration, unless another one is given.
.PHONY: test-upgrade
test-upgrade: deps ## the tests of several nodes, one of which is of an earlier release: that of FROM=commit
	rm -rf $(BUILD)/previous && mkdir -p $(BUILD)/previous
	git archive $(or $(FROM),$$(git log -1 --format=%H -- migrations)^) | tar -x -C $(BUILD)/previous
	cd $(BUILD)/previous && $(GO) build -trimpath -o $(BUILD)/rollcall-previous .
	rm -rf $(BUILD)/previous
	$(GO) build -trimpath -o $(BUILD)/ . ./internal/testenv/cmd/withservers
	cd e2e && ROLLCALL_BIN=$(BUILD)/rollcall ROLLCALL_PREVIOUS_BIN=$(BUILD)/rollcall-previous $(BUILD)/withservers -- node --test nodes.test.mjs

# The packages whose tests run on other servers than MariaDB. PKG=./internal/users tests one of them.
RULES := $(addprefix ./internal/,apps audit database figures jobs operators outbox relations subscriptions token users webhooks)

# MySQL and Valkey are unpacked from other suites of Debian; see scripts/engine.
.PHONY: test-mysql
test-mysql: ## the tests of the rules and of the database on MySQL, which it fetches first
	scripts/engine sid mysql-server-core mysqld
	$(GO) build -trimpath -o $(BUILD)/ ./internal/testenv/cmd/withservers
	ROLLCALL_TEST_MYSQLD=$(BUILD)/engines/mysqld $(BUILD)/withservers -- \
		$(GO) test -trimpath -count=1 -timeout 60m -skip '/^sqlite$$' $(or $(PKG),$(RULES) ./node)

.PHONY: test-valkey
test-valkey: ## the tests of everything that uses Redis on Valkey, which it fetches first
	scripts/engine trixie valkey-server valkey-server
	ROLLCALL_TEST_REDIS_SERVER=$(BUILD)/engines/valkey-server \
		$(GO) test -trimpath -count=1 -timeout 60m -p 1 $(or $(PKG),$(USERS_OF_REDIS))

# TiDB is built from its module, with the release of Go that it is made for.
TIDB_VERSION := v8.5.6

.PHONY: test-tidb
test-tidb: ## the tests of the rules and of the database on TiDB, which it builds first
	cd internal/testenv/tidb && GOTOOLCHAIN=go1.25.8 $(GO) build -trimpath -o $(BUILD)/ \
		-ldflags='-s -w -X github.com/pingcap/tidb/pkg/parser/mysql.TiDBReleaseVersion=$(TIDB_VERSION)' \
		github.com/pingcap/tidb/cmd/tidb-server
	$(GO) build -trimpath -o $(BUILD)/ ./internal/testenv/cmd/withservers
	ROLLCALL_TEST_TIDB=$(BUILD)/tidb-server $(BUILD)/withservers -- \
		$(GO) test -trimpath -count=1 -timeout 60m -skip '/^sqlite$$' $(or $(PKG),$(RULES))

# It reads the general log of the MariaDB that the tests share. PKG=./internal/users takes the statements
# of one package. The module is not part of `make lint`, because it compiles much of Vitess.
.PHONY: test-vitess
test-vitess: ## the Go tests of the rules, then how Vitess would parse and shard their statements
	cd internal/testenv/vitess && $(GO) vet . && $(GO) test . && $(GO) build -trimpath -o $(BUILD)/ .
	$(GO) build -trimpath -o $(BUILD)/ ./internal/testenv/cmd/withservers
	rm -f $(BUILD)/general.log
	ROLLCALL_TEST_GENERAL_LOG=$(BUILD)/general.log $(BUILD)/withservers -- \
		$(GO) test -trimpath -count=1 -timeout 60m $(or $(PKG),./internal/...)
	$(BUILD)/vitess $(BUILD)/general.log

.PHONY: release
release: ## builds the archives, SBOM and checksums of VERSION=1.2.3 into .build/release, reproducibly
	@scripts/release "$(VERSION)"

.PHONY: test-release
test-release: ## builds two releases without caches, compares them, and runs the archives for Linux and Windows
	scripts/test-release

.PHONY: image
image: ## builds the image `rollcall` with buildah, or with IMAGE_BUILDER="docker build"
	rm -rf $(BUILD)/image && mkdir -p $(BUILD)/image/data
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o $(BUILD)/image/rollcall .
	cp /etc/ssl/certs/ca-certificates.crt $(BUILD)/image/
	$(or $(IMAGE_BUILDER),buildah build) -f deploy/Containerfile -t rollcall:latest $(BUILD)/image

.PHONY: test-deploy
test-deploy: deps build ## the tests of deploy/ that `make test` lacks: the image, Kubernetes, Compose, systemd and Caddy
	scripts/test-deploy

.PHONY: pictures
pictures: deps build ## takes the pictures of the console and of the example chat for README and docs
	$(GO) build -o $(BUILD)/ ./internal/testenv/cmd/withservers
	cd e2e && ROLLCALL_BIN=$(BUILD)/rollcall $(BUILD)/withservers -- node pictures.mjs
	npm run --silent build --prefix clients/js && ROLLCALL_BIN=$(BUILD)/rollcall node clients/js/scripts/pictures.mjs

.PHONY: looks
looks: deps build ## takes contact sheets of every state of the console into LOOKS=.build/looks, to be looked at
	$(GO) build -o $(BUILD)/ ./internal/testenv/cmd/withservers
	cd e2e && ROLLCALL_BIN=$(BUILD)/rollcall $(BUILD)/withservers -- node looks.mjs $(or $(LOOKS),$(BUILD)/looks) '$(STATES)'

.PHONY: cover
cover: deps ## the Go tests' coverage, by package and in .build/cover.html
	$(GO) build -o $(BUILD)/ ./internal/testenv/cmd/withservers
	$(BUILD)/withservers -- $(GO) test -coverpkg=./... -coverprofile=$(BUILD)/cover.out ./...
	$(GO) tool cover -html=$(BUILD)/cover.out -o $(BUILD)/cover.html

.PHONY: bench
bench: deps ## measures against the floors, ROW=name alone; see bench/README.md
	cd bench && $(GO) build -o $(BUILD)/bench .
	$(BUILD)/bench $(if $(ROW),-row $(ROW)) $(ARGS)
