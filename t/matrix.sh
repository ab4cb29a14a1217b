#!/bin/bash
# t/matrix.sh DIR ...: the module with several versions and builds of nginx.
# Each DIR is a source tree in which nginx has been built, with DIR/objs/nginx;
# how it was configured it says itself.  Builds the module for each, runs a few
# suites with it, and those that want more of nginx where it has that; says at the
# end what failed.  KMQ_WORKERS as for the suites.
set -u
cd "$(dirname "$0")/.." || exit 1

suites=(t/22-push.t t/23-confirm.t t/32-reload.t t/60-persistence.t t/80-pull.t)
failed=()

if [ $# -eq 0 ]; then
    echo 'usage: t/matrix.sh DIR ..., source trees with an nginx in objs' >&2
    exit 1
fi

# has FLAG: whether it was configured so
has() {
    [[ " $flags " == *" $1"[\ =]* ]]
}

# check DIR: one nginx
check() {
    local binary build more=()

    binary=$(realpath "$1")/objs/nginx
    build=build/matrix/$(basename "$1")

    flags=$("$binary" -V 2>&1 | sed -n 's/^configure arguments: *//p') &&
    make --no-print-directory -s -j2 LTO= BUILD="$build" NGINX_SRC="$1" \
        NGINX_FLAGS="${flags:- }" build || return

    has --without-http_rewrite_module || more+=(t/04-http-send.t)
    has --without-http_gzip_module || more+=(t/81-events.t)
    if has --with-http_ssl_module; then more+=(t/e2e/tls.t); fi
    if has --with-http_v2_module; then more+=(t/e2e/http2.t); fi
    if has --with-http_v3_module; then
        make --no-print-directory -s LTO= BUILD="$build" NGINX_SRC="$1" \
            NGINX_FLAGS="$flags" "$build/http3-client" || return
        more+=(t/e2e/http3.t)
    fi

    TEST_NGINX_BINARY=$binary KMQ_BUILD=$PWD/$build \
        ${PROVE:-prove} "${suites[@]}" "${more[@]}"
}

for dir; do
    printf '\n== %s: ' "$dir"
    "$dir/objs/nginx" -v 2>&1
    check "$dir" || failed+=("$dir")
done

if [ ${#failed[@]} -gt 0 ]; then
    printf '\nFAILED: %s\n' "${failed[*]}"
    exit 1
fi
