#!/bin/bash
#
# Does the load generator for other servers find what it is there to find?  A
# proxy before a real server harms one message, and the generator must say so.
# A server whose Debian package is not there is skipped.  TAP, for prove.

cd "$(dirname "$0")" || exit
make -s -j2 peers || exit

PATH=$PATH:/usr/sbin
OUT=$PWD/../build/bench
DIR=$(mktemp -d) || exit
PORT=${PORT:-8250}
SERVER_CPU=0-$(($(nproc) - 1))
IDLE=1000
NGINX=${NGINX:-nginx}
tests=0
failed=0

# shellcheck source=peers/servers.sh
. peers/servers.sh

trap 'stop_server; rm -rf "$DIR"' EXIT
trap 'exit 130' INT TERM


# load PROTOCOL FAULT ARGUMENT...: sets $result and $status
load() {
    local to from pid through

    coproc PROXY { exec python3 peers/harm.py "$port" "$2"; }
    pid=$!
    from=${PROXY[0]}
    to=${PROXY[1]}
    read -r through <&"$from"

    result=$("$OUT/kmq-peer" "$1" --port "$through" --drain 1 --timeout 60 \
        --producers 1 --consumers 1 --messages 5000 --window 500 "${@:3}" \
        2> /dev/null)
    status=$?

    exec {to}>&-
    wait "$pid" 2> /dev/null
}


# check SERVER PROTOCOL FAULT STATUS PART-OF-THE-RESULT ARGUMENT...
check() {
    local name="$2, $3 ${*:6}"

    tests=$((tests + 1))

    if ! has_package "$1"; then
        echo "ok $tests - $name # SKIP no ${PACKAGE[$1]}"
        return
    fi

    status=
    result=

    if start "$1"; then
        load "$2" "$3" "${@:6}"
    fi

    stop_server

    if [ "$status" = "$4" ] && [[ $result = *"$5"* ]]; then
        echo "ok $tests - $name"
        return
    fi

    failed=1
    echo "not ok $tests - $name"
    echo "# status $status, not $4; no «$5» in: $result"
}


good='"lost": 0, "duplicate": 0, "disorder": 0, "corrupt": 0, "closed": 0'
repeat='"lost": 1, "duplicate": 1, "disorder": 0, "corrupt": 0'
swap='"lost": 0, "duplicate": 0, "disorder": 1, "corrupt": 0'
damage='"lost": 1, "duplicate": 0, "disorder": 0, "corrupt": 1'
lose='"lost": 1, "duplicate": 0, "disorder": 0, "corrupt": 0'

# all SERVER PROTOCOL ARGUMENT...
all() {
    check "$1" "$2" none 0 "$good" "${@:3}"
    check "$1" "$2" repeat 1 "$repeat" "${@:3}"
    check "$1" "$2" swap 1 "$swap" "${@:3}"
    check "$1" "$2" damage 1 "$damage" "${@:3}"
}


all nats nats
all nats nats --fanout
all jetstream jetstream
all redis redis-list
all redis redis-stream
all redis redis-pubsub --fanout
all beanstalkd beanstalk
all mosquitto mqtt0
all mosquitto mqtt1
all mosquitto_ws mqtt0-ws --fanout
all nchan nchan --fanout

check nats nats lose 1 "$lose"
check mosquitto mqtt0 lose 1 "$lose"
check nats nats none 0 '"accepted": 5000' --ingest-only
check beanstalkd beanstalk none 0 "\"accepted\": 5000, \"errors\": 0" \
    --ingest-only

# no server, another server, no protocol

tests=$((tests + 1))
"$OUT/kmq-peer" nats --port 1 --messages 1 > /dev/null 2>&1
[ $? = 2 ] || { failed=1; echo -n "not "; }
echo "ok $tests - no server is an error"

tests=$((tests + 1))
"$OUT/kmq-peer" other > /dev/null 2>&1
[ $? = 2 ] || { failed=1; echo -n "not "; }
echo "ok $tests - an unknown protocol is an error"

echo "1..$tests"
exit $failed
