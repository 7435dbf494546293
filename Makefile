# What people type. `make` shows this list; everything else is one command away.
.DEFAULT_GOAL := help
.PHONY: help run test quick e2e bench bench-quick bench-core fmt lint deny fuzz setup

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## the server, for this machine: open http://localhost:8080
	cargo run --release

test: setup ## everything: format, lints, unit, simulation, sockets, browser library, real browsers
	scripts/test.sh

quick: ## what can be checked in a minute, with nothing to install
	cargo fmt --all -- --check
	cargo test --workspace --lib

e2e: setup ## the journeys in real Chromium and Firefox
	scripts/e2e.sh

bench: ## every figure, with baseline and peers, into docs/BENCHMARKS.md: about an hour, goes on where it was
	@command -v matchbox_server > /dev/null || cargo install --locked matchbox_server
	benches/bench.py $(BENCH)

bench-quick: ## the same in small: shows that everything runs
	benches/bench.py --quick

bench-core: ## times of the core in process; benches/callgrind.sh counts its instructions
	cargo bench --workspace

fmt: ## format the Rust code
	cargo fmt --all

lint: ## lints as errors
	cargo clippy --workspace --all-targets -- -D warnings

deny: setup ## licences, sources and known holes of dependencies
	scripts/dependencies.sh

fuzz: ## every fuzz target for a minute (FUZZ_SECONDS)
	scripts/fuzz.sh

setup: ## install what the tests need and is not there yet
	@scripts/setup.sh
