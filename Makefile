# What contributors run; `make` alone lists it. Needs Go, GNU make and bash. Each
# target does its own set-up, and works in a fresh clone.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO ?= go
# The modules that users link or copy from, pure Go. Nested modules are not in `./...`.
MODULES := . compose examples
PLATFORMS := linux darwin windows freebsd
# The other modules: development tools, servers for tests, SDKs of clouds, cgo.
NESTED := tools internal/e2e internal/e2e/sigstack examples/kms signing/pkcs11
# More flags for `go test`, such as TESTFLAGS=-v.
TESTFLAGS ?=
# Which benchmarks to run, as a regular expression.
BENCH ?= .
FUZZTIME ?= 10s
# Where mutation switches off checks, and which of them, as a regular expression of
# the lines that it prints.
MUTATED ?= ./signing/... ./verify/... ./keyless/... ./registry/... ./internal/bundles/...
MUTANTS ?=
# How many images the concurrent signers of e2e sign, in each setting.
ROUNDS ?= 20
# How often e2e kills a push or a pull.
KILLS ?= 200

# The race detector needs cgo, which go turns off where it finds no C compiler.
CGO := $(shell $(GO) env CGO_ENABLED)
RACE := $(if $(filter 1,$(CGO)),-race)
# All else is built as users may build it, and shares the build cache.
export CGO_ENABLED := 0

GOLANGCI_LINT = $(GO) tool -modfile=$(CURDIR)/tools/go.mod golangci-lint

.PHONY: help
help: ## list the targets (this)
	@echo "Times: first run with empty caches, then warm; on two cores."
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## push signed, pull verified, be refused; with its own registry (3 min, 10 s)
	cd examples && $(GO) run ./demo

.PHONY: demo-keyless
demo-keyless: ## the same by an identity; builds Sigstore's services first (8 min, 20 s)
	cd examples && $(GO) run ./demo keyless

# Tests wait for servers more than they compute.
TEST = $(GO) test -parallel 8 -timeout 30m $(TESTFLAGS)

# The race detector changes the counts of allocations, and makes a signature check 20
# times slower. So tests that count work or derive keys are left out of the first run,
# and their packages, and the examples, are tested without it.
.PHONY: test
test: ## the library under the race detector; registry takes most (16 min, 9 min)
	@[[ -n "$(RACE)" ]] || echo "No C compiler, or CGO_ENABLED=0: testing without the race detector."
	@set -e; for module in . compose; do (cd $$module && CGO_ENABLED=$(CGO) $(TEST) $(RACE) ./...); done
	$(if $(RACE),$(TEST) $$(grep -rl '^//go:build.*!race' --include='*_test.go' --exclude-dir=examples . | xargs dirname | sort -u))
	cd examples && $(TEST) ./...

# One profile a module: what the tests of a program run of the library counts too.
.PHONY: cover
cover: ## all of that without the race detector; coverage of each package, coverage.html (10 min, 4 min)
	@set -e; for module in $(MODULES); do \
		(cd $$module && $(TEST) -coverpkg=github.com/cosignkit/cosignkit/... -coverprofile=$(CURDIR)/coverage-$${module/./root}.out ./...); \
	done
	$(GO) tool cover -html=coverage-root.out -o coverage.html
	@awk -f .ci/coverage.awk coverage-*.out

.PHONY: cross
cross: ## compile for linux, darwin, windows, freebsd, without cgo (6 min, 20 s)
	@set -e; for os in $(PLATFORMS); do for module in $(MODULES); do \
		echo "CGO_ENABLED=0 GOOS=$$os go build ./... in $$module"; (cd $$module && GOOS=$$os $(GO) build ./...); \
	done; done

.PHONY: lint
lint: ## golangci-lint, gofmt, tidy modules, licence headers (5 min, 30 s)
	@unformatted=$$(git ls-files --cached --others --exclude-standard -- '*.go' | xargs -r gofmt -l); \
	if [[ -n "$$unformatted" ]]; then printf 'gofmt would change:\n%s\n' "$$unformatted"; exit 1; fi
	@set -e; for module in $(MODULES) $(NESTED); do echo "go mod tidy -diff in $$module"; (cd "$$module" && $(GO) mod tidy -diff); done
	$(GO) test -run 'TestLicenceHeader|TestImportArrows' ./internal/depcheck
	cd examples && $(GO) vet -tags cosign ./nerdctl/weight
	@set -e; for module in $(MODULES); do echo "golangci-lint in $$module"; (cd $$module && $(GOLANGCI_LINT) run ./...); done
	cd internal/e2e && $(GOLANGCI_LINT) run ./...
	cd internal/e2e/sigstack && $(GOLANGCI_LINT) run ./...
	cd examples/kms && $(GOLANGCI_LINT) run ./...
	cd tools && $(GOLANGCI_LINT) run ./...
	linter=$$($(GO) tool -n -modfile=$(CURDIR)/tools/go.mod golangci-lint); cd signing/pkcs11 && CGO_ENABLED=$(CGO) "$$linter" run ./...

.PHONY: bench
bench: ## benchmarks with allocations; BENCH=regexp selects (3 min, 1 min)
	@set -e; for module in $(MODULES); do (cd $$module && $(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 30m ./...); done

# Minimizing each interesting input, for a minute by default, would take longer
# than finding it. What parses in signing/pkcs11 needs no cgo.
.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME, 10 s unless told
	@set -e; \
	fuzz() { \
		packages=$$($(GO) list "$$@"); \
		for package in $$packages; do \
			targets=$$($(GO) test -list '^Fuzz' "$$package"); \
			for target in $$(grep '^Fuzz' <<<"$$targets" || true); do \
				$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime '$(FUZZTIME)' -fuzzminimizetime 10x "$$package"; \
			done; \
		done; \
	}; \
	fuzz ./...; cd compose; fuzz ./...; cd ../signing/pkcs11; fuzz ./...

MUTATION = $(GO) run -C tools ./mutation -C '$(CURDIR)' -only '$(MUTANTS)'

.PHONY: mutation
mutation: ## switch off each check, one at a time, and see a test fail; MUTANTS=regexp selects (1 h)
	cd tools && $(GO) test ./mutation
	$(MUTATION) $(MUTATED)
	$(MUTATION) -module compose ./...

# The checks of bytes that nobody has signed yet.
.PHONY: mutation-short
mutation-short: MUTANTS = ^internal/bundles:
mutation-short: ## the same for the checks of internal/bundles (6 min)
	cd tools && $(GO) test ./mutation
	$(MUTATION) ./internal/bundles ./verify

.PHONY: interop
interop: docker-registry ## keys and signatures with cosign v2 and v3, built here (17 min, 3 min)
	cd internal/e2e/interop && $(GO) test -count=1 -timeout 30m -parallel 4

.PHONY: e2e
e2e: e2e-deps ## programs, containerd's daemons (as root), services with faults (14 min, 4 min)
	cd examples && $(GO) test -count=1 -v -timeout 15m ./...
	$(GO) test -count=1 -v -timeout 15m -run '^TestConcurrentSigners$$' ./registry -rounds '$(ROUNDS)'
	cd internal/e2e && $(GO) test -count=1 -v -timeout 15m ./daemon -kills '$(KILLS)'
	cd internal/e2e && $(GO) test -count=1 -v -timeout 5m -parallel 16 ./registries
	cd internal/e2e/sigstack && $(GO) test -count=1 -timeout 15m ./...
	cd internal/e2e && $(GO) test -count=1 -timeout 30m -parallel 16 ./keyless ./conformance

.PHONY: keys
keys: softhsm2 ## keys in AWS KMS, Vault and SoftHSM2; needs a C compiler (5 min, 1 min)
	cd examples/kms && $(GO) test -count=1 $(TESTFLAGS) ./...
	cd signing/pkcs11 && $(GO) test -count=1 $(TESTFLAGS) ./...
	cd signing/pkcs11 && CGO_ENABLED=1 $(GO) test -race -count=1 $(TESTFLAGS) ./...

.PHONY: conformance-client
conformance-client: ## build the client for Sigstore's suite, and print its path (3 min, 5 s)
	@dir="$${COSIGNKIT_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/cosignkit}/tools"; mkdir -p "$$dir"; dir=$$(cd "$$dir" && pwd); \
	(cd internal/e2e && $(GO) build -trimpath -o "$$dir/conformance" ./conformance) >&2; echo "$$dir/conformance"

.PHONY: golden
golden: ## make testdata/golden again, with four releases of cosign (25 min, 2 min)
	cd internal/e2e && $(GO) run ./golden

# Debian's registry is one of those that interop runs against.
.PHONY: docker-registry
docker-registry:
	$(call install,docker-registry,docker-registry)

# A second containerd, what both start containers with, and a program for them to run;
# a registry, what writes its file of users, and network namespaces.
.PHONY: e2e-deps
e2e-deps: docker-registry
	$(call install,containerd runc busybox /usr/lib/cni/bridge,containerd runc busybox-static containernetworking-plugins)
	$(call install,htpasswd ip,apache2-utils iproute2)

.PHONY: softhsm2
softhsm2:
	$(call install,softhsm2-util,softhsm2)

# $(call install,COMMANDS,PACKAGES) installs Debian's packages unless every
# command is there.
define install
@[[ $$(command -v $(1) | wc -l) = $(words $(1)) ]] && exit; \
if [[ $$(id -u) = 0 ]] && command -v apt-get >/dev/null; then \
	apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $(2); \
else \
	echo "something of $(1) is missing: as root, apt-get install $(2)" >&2; exit 1; \
fi
endef
