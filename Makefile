# Two commands are enough on a fresh machine: `make demo` runs the main job, `make test` passes the tests.
# Each does its own set-up. The first build compiles SQLite and takes a minute or two.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
BINARY      := bin/dispatcher
VERSION     ?= 0.1.0
GO_FILES    := $(shell git ls-files --cached --others --exclude-standard '*.go')
TOOL        := go tool -modfile=tools/go.mod

.PHONY: help
help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | expand -t 14

.PHONY: demo
demo: build ## run the whole loop on this machine, with no set-up
	@$(BINARY) demo

.PHONY: build
build: compiler ## build bin/dispatcher
	@[ -x $(BINARY) ] || echo "Building; the first time SQLite is compiled, which takes a minute or two." >&2
	@go build -trimpath -ldflags "-X main.release=$(VERSION)" -o $(BINARY) ./cmd/dispatcher

.PHONY: test
test: compiler ## run all tests
	go test ./...

.PHONY: soak
soak: compiler ## the long tests: a hundred kills, thousands of readers, every zone from 2000 to 2037, Litestream
	SOAK=1 go test -count=1 -timeout 2h -v ./cmd/dispatcher ./internal/scheduler | grep -v '^=== '

.PHONY: check
check: compiler ## formatting, vet, linters and the tests under the race detector
	@unformatted=$$($(TOOL) gofumpt -l $(GO_FILES)); [ -z "$$unformatted" ] || { echo "not formatted, run 'make format':"; echo "$$unformatted"; exit 1; }
	go mod tidy -diff
	go vet ./...
	$(TOOL) staticcheck ./...
	go test -race -timeout 18m ./...

.PHONY: format
format: ## format all Go files
	$(TOOL) gofumpt -w $(GO_FILES)

.PHONY: fuzz
fuzz: compiler ## fuzz every parser for FUZZTIME each (30s)
	@grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$file"); do \
			go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $${FUZZTIME:-30s} -fuzzminimizetime 10x "$$(dirname "$$file")"; \
		done; \
	done

# SQLite is C: a compiler is needed. Root on Debian gets one; anybody else is told what to install.
.PHONY: compiler
compiler:
	@command -v go >/dev/null || { echo "Go 1.26 or newer is needed: https://go.dev/dl/" >&2; exit 1; }
	@if ! command -v $${CC:-gcc} >/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing a C compiler for SQLite." >&2; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq gcc libc6-dev >/dev/null; \
		else \
			echo "A C compiler is needed for SQLite: install gcc (on Debian: sudo apt-get install gcc libc6-dev)." >&2; exit 1; \
		fi; \
	fi

.PHONY: deb
deb: compiler ## build the Debian package of VERSION in bin/
	VERSION=$(VERSION) packaging/build-deb

.PHONY: test-systemd
test-systemd: compiler ## install the package into a booted Debian and try what an admin does; needs root
	VERSION=$(VERSION) packaging/test-systemd

.PHONY: bench
bench: build ## measure sending beside Postfix's smtp-source (BENCH='-suite speed')
	go build -trimpath -o bin/bench ./cmd/bench
	go test -run '^$$' -bench . ./internal/render ./internal/store ./internal/mailer
	bin/bench $(BENCH)

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
