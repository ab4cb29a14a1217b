#!/bin/bash
#
# Measures other servers beside the queue: same machine, same minutes, same
# shape of load, in turns; how and why is in README.md.  `make bench-peers`
# builds the module and calls this.  A server whose Debian package is not there
# is named and left out.
#
#   peers.sh --install   has apt-get install the packages first
#
#   RUNS=3          repetitions of each row
#   DURATION=2      seconds of a run
#   ROWS="p2p ..."  of p2p, ingest, fanout-100, fanout-1000, idle
#   PEERS="nats ..."  of kapokmq, nats, redis, mosquitto, beanstalkd, nchan
#   IDLE=5000       subscribers of the row "idle"
#   SERVER_CPU=0  LOAD_CPU=1  cores of the server and of the load generator
#   PORT=8060       the first one that is tried
#   NGINX=nginx  NCHAN=/usr/lib/nginx/modules/ngx_nchan_module.so

set -u
cd "$(dirname "$0")/.." || exit
PATH=$PATH:/usr/sbin

BENCH=$PWD/build/bench
OUT=$BENCH/peers
DIR=$OUT/run
PEERLOG=$OUT/peers.jsonl
OURLOG=$OUT/kapokmq.jsonl

RUNS=${RUNS:-3}
DURATION=${DURATION:-2}
ROWS=${ROWS:-p2p ingest fanout-100 fanout-1000 idle}
PEERS=${PEERS:-kapokmq nats redis mosquitto beanstalkd nchan}
IDLE=${IDLE:-5000}
SERVER_CPU=${SERVER_CPU:-0}
LOAD_CPU=${LOAD_CPU:-1}
PORT=${PORT:-8060}
NGINX=${NGINX:-nginx}

ours=               # pid of run.sh

# shellcheck source=peers/servers.sh
. bench/peers/servers.sh


die() {
    echo "peers: $*" >&2
    exit 2
}


among() {
    [[ " $2 " = *" $1 "* ]]
}


# Leaves those out whose package is missing.
installed() {
    local peer some=

    for peer in $PEERS; do
        if [ "$peer" = kapokmq ]; then
            some+=" $peer"
        elif [ -z "${PACKAGE[$peer]:-}" ]; then
            die "no peer \"$peer\""
        elif has_package "$peer"; then
            some+=" $peer"
        else
            echo "peers: left out: $peer (apt-get install" \
                "${PACKAGE[$peer]})" >&2
        fi
    done

    PEERS=${some# }
}


# ------------------------------------------------------------------- runs

# record PEER PROMISE DOES RESULT
record() {
    printf '{"row": "%s", "peer": "%s", "promise": "%s", "does": "%s", ' \
        "$row" "$1" "$2" "$3" >> "$PEERLOG"
    printf '"run": %d, "result": %s}\n' "$run" "${4:-null}" >> "$PEERLOG"
}


# load PROTOCOL ARGUMENT...
load() {
    taskset -c "$LOAD_CPU" "$BENCH/kmq-peer" "$1" --port "$port" \
        --watch "$watch" --window 100 --seconds "$DURATION" --drain 3 \
        --timeout $((DURATION * 2 + 20)) "${@:2}" 2> "$OUT/load.log"
}


complain() {
    echo "peers: $*, run $run:" >&2
    sed 's/^/peers:   /' "$OUT/load.log" >&2
}


# measure PEER SERVER PROTOCOL PROMISE DOES: with $load, as $run of $row.
# PROMISE: keeps, or drops when a message may be lost
measure() {
    local result

    among "$1" "$PEERS" || return 0
    start "$2" || die "$2 does not start"
    : > "$OUT/load.log"

    # the report knows whether a loss is a failure

    result=$(load "$3" "${load[@]}") || complain "$row, $3"

    record "$3" "$4" "$5" "$result"
    stop_server
}


# ours ROW...: the queue and the floor, by run.sh
ours() {
    among kapokmq "$PEERS" || return 0

    RUNS=1 QUICK='' ROWS="$*" bench/run.sh > /dev/null &
    ours=$!
    wait "$ours"
    [ $? != 2 ] || die "run.sh cannot measure"
    ours=
    cat "$BENCH/runs.jsonl" >> "$OURLOG"
}


# -------------------------------------------------------------------- rows

row_p2p() {
    load=(--producers 8 --consumers 8)

    ours p2p p2p-json p2p-ack
    measure nats nats nats drops \
        "queue group; keeps nothing, confirms nothing"
    measure nats jetstream jetstream keeps \
        "work queue in memory; each confirmed and acknowledged"
    measure redis redis redis-list keeps \
        "RPUSH, BLMPOP of up to 100; each confirmed, none acknowledged"
    measure redis redis redis-stream keeps \
        "XADD, XREADGROUP and XACK of up to 100; each confirmed, acknowledged"
    measure beanstalkd beanstalkd beanstalk keeps \
        "each confirmed, reserved and deleted"
    measure mosquitto mosquitto mqtt0 drops \
        "shared subscription, QoS 0; confirms nothing"
    measure mosquitto mosquitto mqtt1 keeps \
        "shared subscription, QoS 1; each confirmed and acknowledged"
}


row_ingest() {
    load=(--producers 8 --ingest-only)

    ours ingest
    measure nats nats nats drops "keeps nothing, confirms nothing"
    measure nats jetstream jetstream keeps "each confirmed, all kept"
    measure redis redis redis-list keeps "RPUSH; each confirmed, all kept"
    measure redis redis redis-stream keeps "XADD; each confirmed, all kept"
    measure beanstalkd beanstalkd beanstalk keeps "each confirmed, all kept"
    measure mosquitto mosquitto mqtt0 drops \
        "QoS 0; keeps nothing, confirms nothing"
    measure mosquitto mosquitto mqtt1 keeps "QoS 1; each confirmed, none kept"
    measure nchan nchan nchan keeps \
        "POST; each confirmed, the last 1,000 kept"
}


# row_fanout CONSUMERS
row_fanout() {
    load=(--consumers "$1" --fanout)

    ours "$row"
    measure nats nats nats drops "keeps nothing, confirms nothing"
    measure redis redis redis-pubsub drops \
        "PUBLISH; each confirmed to the producer, keeps nothing"
    measure mosquitto mosquitto mqtt0 drops \
        "QoS 0; keeps nothing, confirms nothing"
    measure mosquitto mosquitto_ws mqtt0-ws drops "the same over WebSocket"
    measure nchan nchan nchan keeps \
        "WebSocket; POST, each confirmed, the last 1,000 kept"
}


resident() {
    awk '$1 == "VmRSS:" { print $2 * 1024 }' "/proc/$watch/status"
}


# idle PEER SERVER PROTOCOL DOES
idle() {
    local before line output input pid result=

    among "$1" "$PEERS" || return 0
    start "$2" || die "$2 does not start"
    before=$(resident)
    line=

    coproc IDLERS { load "$3" --idle "$IDLE"; }
    pid=$!
    output=${IDLERS[0]}
    input=${IDLERS[1]}

    if read -r -t 60 line <&"$output" && [ -n "$line" ]; then
        result="{\"count\": $IDLE, \"own\": $(($(resident) - before))}"
    else
        complain "idle, $3"
    fi

    record "$3" drops "$4" "$result"
    exec {input}>&-
    wait "$pid" 2> /dev/null
    stop_server
}


row_idle() {
    ours idle
    idle nats nats nats "TCP, subscribed"
    idle redis redis redis-pubsub "TCP, subscribed"
    idle mosquitto mosquitto mqtt0 "TCP, subscribed"
    idle mosquitto mosquitto_ws mqtt0-ws "WebSocket, subscribed"
    idle nchan nchan nchan "WebSocket, subscribed"
}


all_rows() {
    local run row load

    for ((run = 1; run <= RUNS; run++)); do
        for row in $ROWS; do
            echo "peers: $row, $run of $RUNS" >&2

            case $row in
                fanout-*) row_fanout "${row#*-}" ;;
                p2p | ingest | idle) "row_$row" ;;
                *) die "no row \"$row\"" ;;
            esac
        done
    done
}


# What `make bench` has reported stays.
keep_reports() {
    mkdir -p "$OUT/kept"
    mv "$BENCH"/report.{md,json} "$BENCH/runs.jsonl" "$OUT/kept" 2> /dev/null
}


clean_up() {
    [ -z "$ours" ] || kill "$ours" 2> /dev/null
    stop_server
    rm -rf "$DIR"
    rm -f "$BENCH"/report.{md,json} "$BENCH/runs.jsonl"
    mv "$OUT/kept"/* "$BENCH" 2> /dev/null
    rmdir "$OUT/kept"
}


main() {
    if [ "${1:-}" = --install ]; then
        . ./packages.sh
        need_packages "${PACKAGE[@]}"
    fi

    installed

    if [ "$(ulimit -Hn)" != unlimited ] \
        && [ "$IDLE" -gt $(($(ulimit -Hn) - 1000)) ]
    then
        IDLE=$(($(ulimit -Hn) - 1000))
    fi

    ulimit -Sn "$(ulimit -Hn)"
    make -s -C bench peers || die "cannot build"
    mkdir -p "$OUT"
    : > "$PEERLOG"
    : > "$OURLOG"
    export DURATION IDLE SERVER_CPU LOAD_CPU NGINX
    keep_reports
    trap clean_up EXIT
    trap 'exit 130' INT TERM

    all_rows
    bench/peers/report "$PEERLOG" "$OURLOG" "$OUT"
}


main "$@"
