# make help says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

version := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
commit  := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
cli     := fairlead.dev/fairlead/internal/cli
ldflags := -s -w -X $(cli).version=$(version) -X $(cli).commit=$(commit)

# The commit goes in by ldflags; without it Go would ask git for the same.
export GOFLAGS := $(GOFLAGS) -buildvcs=false
export PATH := $(CURDIR)/bin/tools:$(PATH)

.PHONY: help deps build image run test test-long fuzz check generate bench clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what tests, checks and benchmarks need
	@scripts/deps.sh

build: ## build the static binary bin/fairlead
	@CGO_ENABLED=0 go build -trimpath -ldflags '$(ldflags)' -o bin/fairlead ./cmd/fairlead

image: build ## make bin/fairlead-image.tar, which docker load, podman load, skopeo and ctr take
	@bin/fairlead image self bin/fairlead-image.tar --tag fairlead:latest

run: build ## build and serve on 127.0.0.1:5000, data in fairlead-data
	@exec bin/fairlead serve

# Modules that drive the built program are never cached: Go's test cache does
# not see the program. The database's contract runs twice: at full size it takes
# minutes beside the race detector, and seconds without.
test: deps ## run every test, with the race detector, the foreign clients, crashes, power cuts and Kubernetes
	go test -race -timeout 20m ./...
	FAIRLEAD_LONG=1 go test -count=1 -timeout 10m -run TestStores ./internal/database/sqlite
	cd test/bench && go test -timeout 10m ./...
	cd test/keyring && go test -count=1 -timeout 10m ./...
	cd test/crash && go test -count=1 -timeout 10m ./...
	cd test/fault && go test -count=1 -timeout 15m ./...
	cd test/clients && go test -count=1 -timeout 30m ./...
	cd test/cluster && go test -count=1 -timeout 40m ./...

test-long: deps fuzz ## the long campaigns: a minute of each fuzz target, scale, 1,000,000 pull secrets beside the kubelet, 1,000 crashes, 300 power cuts, thousands of namespaces
	FAIRLEAD_LONG=1 go test -race -count=1 -timeout 120m ./...
	cd test/keyring && FAIRLEAD_LONG=1 go test -count=1 -timeout 60m -v -run TestDifferential .
	cd test/clients && go test -count=1 -timeout 60m ./...
	cd test/crash && FAIRLEAD_ROUNDS=1000 go test -count=1 -timeout 180m ./...
	cd test/cluster && FAIRLEAD_LONG=1 go test -count=1 -timeout 30m -v -run TestManyNamespaces ./secret
	cd test/fault && FAIRLEAD_ROUNDS=300 go test -count=1 -timeout 180m ./...

fuzz: ## run each fuzz target for FUZZTIME (1m)
	@scripts/fuzz.sh

check: deps ## format, vet, lint, import rules, documents, known vulnerabilities
	@scripts/check.sh

generate: deps ## make the schemas and copies of api/v1alpha1 anew, and what the charts have of them
	bin/tools/controller-gen object paths=./api/v1alpha1/...
	bin/tools/controller-gen crd:crdVersions=v1 paths=./api/v1alpha1/... output:crd:dir=deploy/crds
	go test ./deploy -run TestChartsFollow -update

bench: deps build ## measure Fairlead beside CNCF distribution and nginx, tokens beside a signature, keyring beside the kubelet's, the controller beside a poller
	@scripts/bench.sh
	FAIRLEAD_BENCH=1 go test -count=1 -run TestSpeedOfTokens -v ./internal/serve
	cd test/keyring && go test -count=1 -run TestSpeedOfLookUp -bench Lookup -v .
	cd test/cluster && FAIRLEAD_BENCH=1 go test -count=1 -timeout 40m -run TestBench -v ./bench

clean: ## remove what make built
	rm -rf bin
