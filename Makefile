# Names of people's everyday jobs; the work itself is cargo's. `make` alone lists them.
.POSIX:
SHELL = /bin/sh

# Which of the two manifests: config.json (Docker's page to the letter) or deploy/config.data.json (queue survives upgrades).
MANIFEST = config.json
# The name that `docker plugin set`, `enable` and `disable` use afterwards.
PLUGIN_NAME = remote-write
PLUGIN_DIR = target/plugin
DOCKER = docker
CARGO = cargo
# How long each fuzz target runs, which one (all of them), and the profile: `dev` needs no build of its own, `fuzz` is faster.
TIME = 60s
TARGET =
FUZZ_PROFILE = fuzz

.PHONY: help test demo conformance bench-faults soak fuzz plugin plugin-rootfs fmt clippy

help:
	@echo 'make test            every test; on Debian as root it installs a Docker engine and receivers first;'
	@echo '                     at least 10 minutes: one test is a real outage of that length, beside the others'
	@echo 'make demo            the main job on embedded parts: no root, no Docker, no network'
	@echo 'make conformance     runs the tests of the rules and of the suites, and writes docs/conformance.md with their results (a few minutes)'
	@echo 'make bench-faults    a quiet minute, outages and kills at 10,000 series x 1 s, beside prometheus agent and vmagent where they are installed (8 min)'
	@echo 'make soak            half an hour at 50 ms with churn, faults and restarts; prints memory, descriptors, threads and disk by the minute'
	@echo 'make fuzz            fuzzes every target for TIME each (60s; 10m, 2h), or TARGET alone: docs/fuzzing.md'
	@echo 'make plugin          builds the static binary and creates the Docker plugin "$(PLUGIN_NAME)"'
	@echo '                     MANIFEST=deploy/config.data.json for the queue that survives upgrades; PLUGIN_NAME=...'
	@echo 'make plugin-rootfs   the same, but stops before Docker: $(PLUGIN_DIR)/{config.json,rootfs/docker-remote-write}'
	@echo 'make fmt clippy      what .ci/run asks for before the tests'

test:
	@tests/run.sh

demo:
	$(CARGO) run --release -- demo

# The tests of the library and of tests/main.rs; the page is written whatever they say, and a failed one fails `make test`.
conformance:
	-$(CARGO) test --locked --no-fail-fast --lib --test main -- --skip conformance >target/conformance.log 2>&1
	CONFORMANCE_LOG=target/conformance.log $(CARGO) test --locked --test main conformance

bench-faults:
	$(CARGO) bench --locked --bench faults

soak:
	$(CARGO) bench --locked --bench soak

# One at a time: a target's bounds of time are its own.
fuzz:
	FUZZ_TIME='$(TIME)' $(CARGO) test --locked --profile '$(FUZZ_PROFILE)' --test fuzz -- --nocapture --test-threads=1 $(TARGET)

# --target is mandatory: without it crt-static reaches build scripts and proc-macros too, and rustc refuses those.
# A plugin's rootfs is empty, so a binary that wants a dynamic loader would only fail at `enable`, as "no such file".
plugin-rootfs:
	@set -e; \
	test -f '$(MANIFEST)' || { echo 'make: there is no manifest "$(MANIFEST)"; use config.json or deploy/config.data.json' >&2; exit 1; }; \
	target=$$(rustc -vV | sed -n 's/^host: //p'); \
	RUSTFLAGS='-C target-feature=+crt-static' $(CARGO) build --release --locked --target "$$target" --bin docker-remote-write; \
	binary="$${CARGO_TARGET_DIR:-target}/$$target/release/docker-remote-write"; \
	kind=$$(LC_ALL=C ldd "$$binary" 2>&1 || true); \
	case "$$kind" in \
	*'statically linked'*|*'not a dynamic executable'*|*'Not a valid dynamic program'*) ;; \
	*) echo "make: $$binary is not static, and a plugin's rootfs has no loader for it:" >&2; echo "$$kind" >&2; exit 1 ;; \
	esac; \
	rm -rf '$(PLUGIN_DIR)'; \
	mkdir -p '$(PLUGIN_DIR)/rootfs'; \
	install -m 0644 '$(MANIFEST)' '$(PLUGIN_DIR)/config.json'; \
	install -m 0755 "$$binary" '$(PLUGIN_DIR)/rootfs/docker-remote-write'; \
	echo "$(PLUGIN_DIR): $(MANIFEST) and a static binary of $$(wc -c < "$$binary" | tr -d ' ') bytes"

# An existing plugin is left alone: its rootfs may hold a backlog that nobody has delivered yet.
plugin: plugin-rootfs
	@set -e; \
	if $(DOCKER) plugin inspect '$(PLUGIN_NAME)' >/dev/null 2>&1; then \
	  echo 'make: a plugin called "$(PLUGIN_NAME)" exists already. Its settings and its queue go with it, so remove it yourself:' >&2; \
	  echo '        $(DOCKER) plugin disable $(PLUGIN_NAME); $(DOCKER) plugin rm $(PLUGIN_NAME)' >&2; \
	  echo '      or choose another name: make plugin PLUGIN_NAME=...' >&2; \
	  exit 1; \
	fi; \
	$(DOCKER) plugin create '$(PLUGIN_NAME)' '$(PLUGIN_DIR)'

fmt:
	$(CARGO) fmt --check

clippy:
	$(CARGO) clippy --all-targets --locked -- -D warnings
	$(CARGO) clippy --test engine --test outage --locked -- -D warnings
