#!/usr/bin/env bash
# Every test of this project, with what they need: `make test`.
#
# 1. cargo test: unit, integration and documentation tests; they need nothing but loopback.
# 2. the engine tests (tests/engine): a dockerd, a Prometheus and a VictoriaMetrics of their own, in a temporary directory and ended by pid.
#    On Debian as root this script installs the packages first; anywhere else the part is left out, in so many words.
# 3. a real outage of ten minutes (tests/outage.rs), in the background from the beginning on: it sleeps nearly all the time, and is shown and counted last.
#
# With CI=true nothing may be left out, ignored or filtered: the run fails if anything is. Nothing is ever retried.
# The last line is always `N passed, N failed, N skipped`; the exit code is 0 only if nothing failed.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(docker.io prometheus victoria-metrics docker-registry)
declare -A package_program=([docker.io]=dockerd [prometheus]=prometheus [victoria-metrics]=victoria-metrics [docker-registry]=docker-registry)
programs=(dockerd containerd runc docker prometheus victoria-metrics docker-registry)
export PATH=$PATH:/usr/sbin:/sbin
strict=$([[ ${CI:-} == true || ${CI:-} == 1 ]] && echo yes || echo no)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/drw-run.XXXXXX")
passed=0 failed=0 skipped=0
policy=/usr/sbin/policy-rc.d policy_written=no

outage=

cleanup() {
    # A group of its own: cargo does not pass a signal on to the test.
    [[ -z $outage ]] || kill -- "-$outage" 2>/dev/null || true
    if [[ $policy_written == yes ]]; then
        rm -f "$policy"
        [[ ! -e $scratch/policy-rc.d ]] || mv "$scratch/policy-rc.d" "$policy"
    fi
    rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '%s\n' "$*"; }

# Debian starts a service at the moment its package is installed, unless policy-rc.d says no (101). What was there comes back.
forbid_service_starts() {
    if [[ -e $policy || -L $policy ]]; then mv "$policy" "$scratch/policy-rc.d"; fi
    policy_written=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

have() { command -v "$1" >/dev/null; }

missing_programs() {
    local program
    for program in "${programs[@]}"; do
        have "$program" || printf '%s ' "$program"
    done
}

# Goes by programs, not by package names: an engine from Docker's own repository serves as well, and is never replaced (--no-remove).
install_packages() {
    local missing=() package
    for package in "${packages[@]}"; do
        have "${package_program[$package]}" || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    say "test: installing ${missing[*]} (and what they depend on; their services are not started)"
    forbid_service_starts
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q -y update &&
        apt-get -q -y install --no-install-recommends --no-remove "${missing[@]}" &&
        # Debian 12 ships the client inside docker.io; from 13 on it is a package of its own.
        { have docker || apt-get -q -y install --no-install-recommends --no-remove docker-cli; } ||
        say "test: apt-get could not install them"
}

# Says on standard output why the engine tests cannot run here; nothing if they can.
engine_obstacle() {
    if [[ $(uname -s) != Linux ]]; then say "they need Linux"; return; fi
    if [[ $(id -u) != 0 ]]; then say "they start a dockerd of their own, which needs root"; return; fi
    local missing
    missing=$(missing_programs)
    [[ -z $missing ]] || say "missing: ${missing% } (installed by itself only on Debian with apt-get)"
}

# Adds every `test result:` line of libtest in a log to the sums. $2 is the exit code of the command, $3 its name.
add_up() {
    local log=$1 status=$2 p f i x
    read -r p f i x < <(sed -n 's/^test result: [A-Za-z]*\. \([0-9]*\) passed; \([0-9]*\) failed; \([0-9]*\) ignored; [0-9]* measured; \([0-9]*\) filtered out.*/\1 \2 \3 \4/p' "$log" |
        awk '{ p += $1; f += $2; i += $3; x += $4 } END { print p + 0, f + 0, i + 0, x + 0 }')
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + i + x))
    # A build that breaks or a test binary that dies prints no result line: that is a failure too.
    if ((status != 0 && f == 0)); then failed=$((failed + 1)); say "test: '$3' ended with status $status"; fi
}

# Runs a command, shows its output and counts it.
count() {
    local log=$scratch/log status=0
    "$@" 2>&1 | tee "$log" || status=$?
    add_up "$log" "$status" "$*"
}

start_outage() {
    # Built first: in the background nothing should compile beside the tests. If it cannot be built, the background says so.
    cargo test --locked --test outage --no-run || true
    set -m
    cargo test --locked --test outage -- --nocapture >"$scratch/outage" 2>&1 &
    outage=$!
    set +m
}

# Waits for what is left of the ten minutes; adds nothing to the run where the other tests take longer.
collect_outage() {
    local status=0
    wait "$outage" || status=$?
    outage=
    cat "$scratch/outage"
    add_up "$scratch/outage" "$status" "cargo test --test outage"
}

say "test: $(rustc --version), $(nproc 2>/dev/null || echo '?') processors"

if [[ $(id -u) == 0 && -e /etc/debian_version ]] && have apt-get; then install_packages; fi

start_outage

# Most of them wait for a second of a scrape interval: four at a time on two processors took 187 s where two took 364 s.
RUST_TEST_THREADS=$((2 * $(nproc 2>/dev/null || echo 2))) count cargo test --locked --no-fail-fast
# What is kept was replayed above; now five seconds of new inputs for each target, in the profile that is built already.
count make --no-print-directory fuzz TIME=5s FUZZ_PROFILE=dev

obstacle=$(engine_obstacle)
if [[ -z $obstacle ]]; then
    say "test: $(dockerd --version)"
    count make --no-print-directory plugin-rootfs
    # One at a time: the bounds (disable under 1 s) are about the plugin, not about a neighbour's engine on the same two cores.
    count cargo test --locked --test engine -- --test-threads=1
else
    left_out=$(cargo test --locked --quiet --test engine -- --list 2>/dev/null | grep -c ': test$' || true)
    ((left_out > 0)) || left_out=1
    skipped=$((skipped + left_out))
    say "test: LEFT OUT: the $left_out tests against a real engine and real receivers: $obstacle"
fi

collect_outage

status=0
((failed == 0)) || status=1
if ((passed == 0)); then say "test: not a single test ran"; status=1; fi
if [[ $strict == yes ]] && ((skipped > 0)); then
    say "test: CI=$CI allows nothing to be skipped, ignored or left out"
    status=1
fi
say "$passed passed, $failed failed, $skipped skipped"
exit "$status"
