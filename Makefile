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

clients := $(wildcard test/clients/go.mod)

.PHONY: help deps build run test test-long fuzz check bench clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what tests, checks and benchmarks need
	@scripts/deps.sh

build: ## build the static binary bin/fairlead
	@CGO_ENABLED=0 go build -trimpath -ldflags '$(ldflags)' -o bin/fairlead ./cmd/fairlead

run: build ## build and serve on 127.0.0.1:5000, data in fairlead-data
	@exec bin/fairlead serve

test: deps ## run every test, with the race detector, and the foreign clients
	go test -race -timeout 15m ./...
ifneq ($(clients),)
	cd test/clients && go test -count=1 -timeout 30m ./... # the cache does not see the server
endif

test-long: deps fuzz ## the tests three times without cache, and a minute of each fuzz target
	go test -race -count=3 -timeout 60m ./...
ifneq ($(clients),)
	cd test/clients && go test -count=1 -timeout 60m ./...
endif

fuzz: ## run each fuzz target for FUZZTIME (1m)
	@scripts/fuzz.sh

check: deps ## format, vet, lint, import rules, documents, known vulnerabilities
	@scripts/check.sh

bench: deps build ## measure Fairlead beside CNCF distribution and nginx
	@if [ -x scripts/bench.sh ]; then scripts/bench.sh; else go test -run '^$$' -bench . -benchmem ./...; fi

clean: ## remove what make built
	rm -rf bin
