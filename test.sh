#!/bin/bash
# Everything that has to hold before a change counts: builds, warnings, unit
# tests, fuzzers, and the suites over a real nginx with 1 and 4 workers.
# Installs what is missing; leaves nothing outside this directory.
# FUZZ_SECONDS: how long each fuzzer runs, 10; LIVE_FUZZ_SECONDS: the live one,
# 60.
set -u
cd "$(dirname "$0")"
. ./packages.sh

# run.sh and make can do with one, the suites' nginx.conf cannot
if [[ $PWD = *[[:space:]]* ]]; then
    echo "The suites need a path without blanks, not \"$PWD\"." >&2
    exit 1
fi

# Of the languages of examples/, Go takes half a gigabyte and a JDK a quarter of
# one: those examples run where these are.
need_packages make gcc clang libclang-rt-dev cppcheck nginx nginx-dev \
    libyaml-dev libjansson-dev libjwt-dev liblz4-dev libssl-dev openssl \
    libmojolicious-perl libev-perl libio-socket-ssl-perl libtest-base-perl libtest-longstring-perl python3-websockets \
    chromium libnss3-tools curl iproute2 faketime prometheus valgrind nats-server \
    php-cli
command -v npm > /dev/null || need_packages nodejs npm

export PATH=$PATH:/usr/sbin:/usr/local/sbin
failed=()
logs=build/log

step() {
    local name=$1
    shift
    printf '\n== %s (after %d s)\n' "$name" "$SECONDS"
    "$@" 2>&1 | tee "$logs/$name"
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed+=("$name")
}

# What the runners, the compilers and the sanitizers say of a failure.
signs='Failed test |^not ok|Wstat|error:|Sanitizer|\*\*\*'

# Whoever has the end of the output only, as CI may, still sees what it was.
what_failed() {
    local name
    for name in "${failed[@]}"; do
        printf '\n== %s: what failed\n' "$name"
        grep -E -A 4 "$signs" "$logs/$name" | head -n 20
    done
    printf '\nFAILED: %s\n' "$(IFS=,; echo "${failed[*]}")"
}

# npm's packages for tests, when the lock file is not the one they came from.
node_modules() {
    cmp -s t/package-lock.json t/node_modules/.from && return
    npm ci --prefix t --cache "$PWD/build/npm" --ignore-scripts --no-audit \
        --no-fund --loglevel=error && cp t/package-lock.json t/node_modules/.from
}

rm -rf build/t "$logs"
mkdir -p build/t "$logs"

# A server before 2.9.15 that is killed or cut off and comes back may have a
# replica that differs (docs/cluster.md).
if newer_nats; then
    export KMQ_NATS=$NEWER_NATS
else
    echo "The nats-server of Debian 13 cannot be had: the suites of the cluster" \
        "run with that of Debian 12." >&2
fi

step build make --no-print-directory -j2
[ ${#failed[@]} -eq 0 ] || { what_failed; exit 1; }
step lint make --no-print-directory -j2 lint
step 'unit tests' make --no-print-directory -j2 unit
step fuzzers make --no-print-directory -j2 fuzz FUZZ_SECONDS="${FUZZ_SECONDS:-10}"
step "npm's packages" node_modules
step 'the console page' make --no-print-directory page
step "the page's unit tests" node --test view/test/*.test.mjs

step 'instructions per message' prove bench/instructions.t

step 'a build with fault points' make --no-print-directory -j2 FAULTS=1 LTO= \
    BUILD=build/faults

step 'a build with sanitizers' make --no-print-directory -j2 live-build

# those of the bench and the live fuzz wait more than they work
step "one worker, a live fuzz, and the bench's own check" env KMQ_WORKERS=1 \
    KMQ_FUZZ_SECONDS="${LIVE_FUZZ_SECONDS:-60}" \
    prove -j6 bench/check.t t/live/fuzz.t t/*.t t/e2e/*.t
# without those that have a number of workers of their own
mapfile -t suites < <(printf '%s\n' t/0[3-9]*.t t/[1-9]*.t t/e2e/*.t |
    grep -Ev '^t/(46-workers|67-checkpoint-anew|80-cluster-.*|91-run)\.t$')
step 'four workers' env KMQ_WORKERS=4 prove -j6 "${suites[@]}"

# With the one that is installed: what a server before 2.9.15 is good for.
[ -z "${KMQ_NATS:-}" ] ||
    step "the cluster with Debian's nats-server" env -u KMQ_NATS KMQ_WORKERS=1 \
        prove -j6 t/80-cluster-{hop,login,partition,pauses,takeover}.t

rm -rf build/t

if [ ${#failed[@]} -gt 0 ]; then
    what_failed
    exit 1
fi
