SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TEST_LOG := target/test-output.log
BUF := target/tools/node_modules/.bin/buf

.PHONY: help dev tools lint test image upgrade full

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

dev: ## gateway and sandbox on loopback, and a first purchase
	cargo run --locked -- dev

tools: ## install what lint and test need
	.ci/install-tools

lint: tools ## formatting, lints, documentation, contract
	cargo fmt --all -- --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib
	$(BUF) lint

test: lint ## everything that must hold; the output may not hold the tests' PIN
	@mkdir -p target
	cargo test --locked 2>&1 | tee $(TEST_LOG)
	@if grep -q 'CANARY-pin' $(TEST_LOG); then echo "a PIN is in the output of the tests" >&2; exit 1; fi

IMAGE_BUILD ?= docker build

image: ## the container image; IMAGE_BUILD="buildah bud" where there is no docker
	$(IMAGE_BUILD) -t okebayar-gateway:$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1) .

EARLIER ?= HEAD~1

upgrade: ## release N-1 (EARLIER, a commit) and N on one Redis, mixed, under load
	rm -rf target/earlier
	git worktree prune
	git worktree add --force --detach target/earlier $(EARLIER)
	cargo build --locked --manifest-path target/earlier/Cargo.toml --target-dir target/earlier/target
	OKEBAYAR_EARLIER=$(CURDIR)/target/earlier/target/debug/okebayar-gateway cargo test --locked --test upgrade

full: test upgrade ## what takes longer: release build, the tests at full size, licences, bans and sources, the tests three times more
	cargo build --locked --release
	OKEBAYAR_FULL=1 cargo test --locked --release --test gateway
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny check licenses bans sources
	for round in 1 2 3; do cargo test --locked --quiet; done
