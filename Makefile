SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TEST_LOG := target/test-output.log
BUF := target/tools/node_modules/.bin/buf
BASELINE := proto/baseline.binpb

.PHONY: help dev tools lint docs baseline test image upgrade dictionary examples full

help: ## show these targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

dev: ## run gateway and sandbox on loopback, and buy one product
	cargo run --locked -- dev

tools: ## install the tools that lint and test need
	.ci/install-tools

lint: tools ## check formatting, lints, documentation and contract
	cargo fmt --all -- --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib
	$(BUF) lint
	$(BUF) breaking --against $(BASELINE)

docs: ## write docs/API.md and docs/ERRORS.md from the contract
	OKEBAYAR_WRITE_DOCS=1 cargo test --locked --test gateway page_is_current

# Only with a release: it adds what the release adds to what may never change. It refuses to hide a break.
baseline: tools ## write the baseline of the contract, which no later change may break
	$(BUF) breaking --against $(BASELINE)
	$(BUF) build --exclude-source-info -o $(BASELINE)

test: lint ## run all tests; fails if their output contains the PIN of the tests
	@mkdir -p target
	cargo test --locked 2>&1 | tee $(TEST_LOG)
	@if grep -q 'CANARY-pin' $(TEST_LOG); then echo "a PIN is in the output of the tests" >&2; exit 1; fi

IMAGE_BUILD ?= docker build

image: ## build the container image; IMAGE_BUILD="buildah bud" without docker
	$(IMAGE_BUILD) -t okebayar-gateway:$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1) .

EARLIER ?= HEAD~1

upgrade: ## run release N-1 (EARLIER, a commit) and N together on one Redis, under load
	rm -rf target/earlier
	git worktree prune
	git worktree add --force --detach target/earlier $(EARLIER)
	cargo build --locked --manifest-path target/earlier/Cargo.toml --target-dir target/earlier/target
	OKEBAYAR_EARLIER=$(CURDIR)/target/earlier/target/debug/okebayar-gateway cargo test --locked --test upgrade

dictionary: ## train the next dictionary of compact records (src/store/record/dictionary.rs)
	cargo test --locked --test dictionary -- --nocapture

examples: tools ## compile and run the callers in Go and Java, with Debian's packages
	cargo test --locked --test examples

full: test upgrade examples ## also run the long checks: release build, tests at full size, licences and sources, tests three more times
	cargo build --locked --release
	OKEBAYAR_FULL=1 cargo test --locked --release --test gateway
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny check licenses bans sources
	for round in 1 2 3; do cargo test --locked --quiet; done
