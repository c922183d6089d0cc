# The two commands of the README, and what developers like to have at hand.
.PHONY: run test check bench fmt doc

# Builds (a cold build takes about 6 minutes on 2 cores, a warm one seconds) and serves the demo.
# KAFKA=1 starts a local Kafka and runs the demo through it.
run:
	@tests/tools/run-demo $(if $(KAFKA),--kafka)

# Everything: style, documentation, licences, unit tests, real servers, browser.
test:
	@tests/tools/test-all

# What needs no server: the quick loop.
check:
	cargo fmt --check
	cargo clippy --release --all-targets -- -D warnings
	cargo test --release

bench:
	cargo bench

fmt:
	cargo fmt

doc:
	cargo doc --no-deps --open
