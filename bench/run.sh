#!/bin/bash
#
# Measures the queue beside the floor and prints a table of ratios; how and
# why is in README.md.  `make bench` builds the module and calls this.  Which
# rows there are is at the end; how they are measured is in rows/*.sh.
#
#   RUNS=5          repetitions of each row, floor and queue in turns
#   QUICK=1         one repetition, shorter runs
#   ROWS="p2p ..."  only these rows; ROWS=list prints their names
#   DURATION=3      seconds of a run
#   SERVER_CPU=0  LOAD_CPU=1  cores of the server and of the load generator
#   IDLE=20000      consumers of the rows "idle", "doors-idle", at most as many
#                   as a process may have descriptors, and of "heartbeat",
#                   "reload", where processes share them: IDLE_WORKERS=4 of the
#                   server, IDLE_SPREAD=4 of the load generator
#   BEATS=90        seconds of each part of the rows "heartbeat", "doors-idle"
#   DRAIN=10        drainTime of the row "reload"
#   RELOAD_RATE=1000   messages a second of the row "reload"
#   DOORS="ws events ..."   sides of the row "doors"; those that others are
#                   compared with are ws, ws-ack, ws-ingest
#   INGEST=2000000  messages of the rows "ingest"
#   WAITING=500000  messages of the row "waiting"
#   DELAYED=1000000  DELAY=60    messages, and seconds, of the row "delay"
#   CHURN=1000  CHURN_SECONDS=10 consumers that join a second, how long
#   DEEP=10000000   messages that wait in the rows "deep", "search", "console"
#   SEARCH_SECONDS=5             of each part of the rows "search", "console"
#   REPAIR="1000000/1 10000000/64"   messages of the row "repair", and topics
#   CAPACITY="8 64 256"   MiB of the row "capacity"
#   CORES="64/0/own ..."   cases of the row "cores": batch, ns of other work for
#                   a message, a topic for each worker or one in common
#   CORES_NGINX="8/100 8/32@1000000 ..."   cases of the row "cores-nginx":
#                    topics, window, and messages a second, if that is bound
#   CHECKPOINT=5000000  CHECKPOINT_SECONDS=10   messages that wait in the row
#                   "checkpoint", seconds of each part of it
#   RECOVER=5000000 messages of the row "recover"
#   STALL=5000000  STALL_SECONDS=10   messages that wait in the row "stall",
#                   seconds of each part of it
#   WORKERS=200000  messages of the row "workers"
#   PORT=8040       of the queue; the floor has the next one, TLS the third, and
#                   the rows "cluster-1", "cluster-2" 8051 to 8073
#   NATS=nats-server   of these rows
#   NGINX=nginx  MODULE=build/ngx_kapokmq_module.so

set -u
cd "$(dirname "$0")/.." || exit

OUT=$PWD/build/bench
PREFIX=$OUT/nginx
RUNLOG=$OUT/runs.jsonl

QUICK=${QUICK:-}
RUNS=${RUNS:-${QUICK:+1}}
RUNS=${RUNS:-5}
DURATION=${DURATION:-${QUICK:+2}}
DURATION=${DURATION:-3}
ROWS=${ROWS:-all}
SERVER_CPU=${SERVER_CPU:-0}
LOAD_CPU=${LOAD_CPU:-1}
IDLE=${IDLE:-20000}
IDLE_ALL=$IDLE
IDLE_WORKERS=${IDLE_WORKERS:-4}
IDLE_SPREAD=${IDLE_SPREAD:-4}
BEATS=${BEATS:-${QUICK:+45}}
BEATS=${BEATS:-90}
DRAIN=${DRAIN:-${QUICK:+3}}
DRAIN=${DRAIN:-10}
RELOAD_RATE=${RELOAD_RATE:-1000}
INGEST=${INGEST:-2000000}
WAITING=${WAITING:-500000}
DELAYED=${DELAYED:-${QUICK:+100000}}
DELAYED=${DELAYED:-1000000}
DELAY=${DELAY:-${QUICK:+6}}
DELAY=${DELAY:-60}
CHURN=${CHURN:-1000}
CHURN_SECONDS=${CHURN_SECONDS:-${QUICK:+3}}
CHURN_SECONDS=${CHURN_SECONDS:-10}
DEEP=${DEEP:-${QUICK:+1000000}}
DEEP=${DEEP:-10000000}
SEARCH_SECONDS=${SEARCH_SECONDS:-${QUICK:+2}}
SEARCH_SECONDS=${SEARCH_SECONDS:-5}
REPAIR=${REPAIR:-${QUICK:+100000/1 1000000/1}}
REPAIR=${REPAIR:-100000/1 1000000/1 10000000/1 10000000/64}
CAPACITY=${CAPACITY:-${QUICK:+8}}
CAPACITY=${CAPACITY:-8 64 256}
CORES=${CORES:-1/0/own 4/0/own 64/0/own 64/250/own 64/500/own 4/500/own \
1/2000/own 64/0/common 64/250/common}
CORES_NGINX=${CORES_NGINX:-8/4 8/32 8/32@1000000 8/100 1/4 1/32 1/100}
CHECKPOINT=${CHECKPOINT:-${QUICK:+1000000}}
CHECKPOINT=${CHECKPOINT:-5000000}
CHECKPOINT_SECONDS=${CHECKPOINT_SECONDS:-${QUICK:+3}}
CHECKPOINT_SECONDS=${CHECKPOINT_SECONDS:-10}
RECOVER=${RECOVER:-${QUICK:+1000000}}
RECOVER=${RECOVER:-5000000}
STALL=${STALL:-${QUICK:+1000000}}
STALL=${STALL:-5000000}
STALL_SECONDS=${STALL_SECONDS:-${QUICK:+3}}
STALL_SECONDS=${STALL_SECONDS:-10}
WORKERS=${WORKERS:-${QUICK:+100000}}
WORKERS=${WORKERS:-200000}
PORT=${PORT:-8040}
NATS=${NATS:-nats-server}
NGINX=${NGINX:-nginx}
MODULE=${MODULE:-$PWD/build/ngx_kapokmq_module.so}

FLOOR_PORT=$((PORT + 1))
TLS_PORT=$((PORT + 2))
KEY=kapokmq-bench
CERTIFICATE=$OUT/tls.pem    # and its key

server=             # pid of the floor, or of nginx's master
watch=              # pids whose CPU time counts
workers=1
zone=128m           # small: its pages are all touched before it counts
buffer=10000000     # messages that may wait
persistent=0        # isPersistent
header_buffer=1k    # client_header_buffer_size, nginx's default
fresh=              # 1: the zone is as the kernel gives it
launch=()           # what a server is started by
queue_port=$PORT    # where the queue is measured
directives=         # of nginx.conf, beside the others: for all of it
http=               # for all of HTTP
listens=            # and for its server
also=               # of a run, beside what the load generator tells
failures=0


die() {
    echo "bench: $*" >&2
    exit 2
}


for part in servers runs memory liveness doors questions engine tls workers \
    mode2 checkpoint stall cluster
do
    # shellcheck source=/dev/null
    . "bench/rows/$part.sh"
done


all_rows() {
    local p2p="--producers 8 --consumers 8 --seconds $DURATION"

    row p2p delivered_per_s "8 producers, 8 consumers, 100 B" \
        "" "" "$p2p --window 100"
    row p2p-json delivered_per_s "the same, JSON frames" \
        "" "" "$p2p --window 100 --json"
    row p2p-ack delivered_per_s "the same, confirm: ack" \
        "" "" "$p2p --window 100 --confirm ack"
    row p2p-clean delivered_per_s "the same, isCleanConsumed: 1" \
        "" "isCleanConsumed: 1" "$p2p --window 100"
    row p2p-deep delivered_per_s "the same, window 1,000" \
        "" "" "$p2p --window 1000"

    # the floor keeps nothing and can be measured for longer

    zone=1g
    row ingest accepted_per_s "8 producers, nobody consumes" "" "" \
        "--producers 8 --ingest-only --window 100 --messages $INGEST" \
        "--producers 8 --ingest-only --window 100 --seconds $DURATION"
    row ingest-deep accepted_per_s "the same, window 1,000" "" "" \
        "--producers 8 --ingest-only --window 1000 --messages $INGEST" \
        "--producers 8 --ingest-only --window 1000 --seconds $DURATION"
    zone=128m

    row fanout-100 delivered_per_s "1 producer to 100 consumers" \
        --fanout "pushType: 2" \
        "--consumers 100 --fanout --seconds $DURATION --window 100"
    row fanout-1000 delivered_per_s "1 producer to 1,000 consumers" \
        --fanout "pushType: 2" \
        "--consumers 1000 --fanout --seconds $DURATION --window 100"

    row p2p-1k delivered_bytes_per_s "8 and 8, 1 kB" \
        "" "" "$p2p --window 100 --size 1000"
    zone=256m
    row p2p-16k delivered_bytes_per_s "8 and 8, 16 kB" \
        "" "" "$p2p --window 100 --size 16000"
    zone=128m

    row latency latency "10,000 messages a second, 8 and 8" \
        "" "" "$p2p --rate 10000"

    # the second worker needs a core of its own

    if [ "$(nproc)" -gt 2 ]; then
        workers=2
        SERVER_CPU=$SERVER_CPU,$((LOAD_CPU + 1))
        row p2p-2 delivered_per_s "8 and 8, two workers (floor: one)" \
            "" "" "$p2p --window 100"
        workers=1
        SERVER_CPU=${SERVER_CPU%,*}
    fi

    row_idle idle "memory of an idle consumer"
    row_waiting
    row_heartbeat
    row_reload
    row_doors
    row_doors_idle
    rows_tls
    row_workers
    row_cores_nginx

    # queues that are used otherwise

    zone=1g
    pair delay-ingest accepted_per_s "delays up to $DELAY s, nobody consumes" \
        "" "--producers 8 --ingest-only --window 100 --messages $INGEST \
            --delay 0" \
        "--producers 8 --ingest-only --window 100 --messages $INGEST \
            --delay $DELAY"
    alone delay lateness "$DELAYED messages, random delays up to $DELAY s" "" \
        "--producers 8 --consumers 8 --window 100 --messages $DELAYED \
         --delay $DELAY --timeout $((DELAY * 2 + 60))"
    zone=128m

    pair churn churn "$CHURN consumers join and leave a second" \
        "pushType: 2" \
        "--producers 4 --consumers 10 --fanout --rate 10000 \
         --seconds $CHURN_SECONDS" \
        "--producers 4 --consumers 10 --fanout --rate 10000 \
         --seconds $CHURN_SECONDS --churn $CHURN"

    if room_for "$deep_room" deep; then
        zone=${deep_room}m
        buffer=$((DEEP * 2))
        alone deep deep "$DEEP messages wait" "isCleanConsumed: 1" \
            "--producers 8 --consumers 8 --window 100 --depth $DEEP \
             --messages $((DEEP / 10)) --timeout 300"
        zone=128m
        buffer=10000000
    fi

    row_search
    row_console
    row_page
    row_repair
    row_capacity
    row_cores

    # what is kept on disk

    pair mode1 delivered_per_s "isPersistent: 1, 8 producers, 8 consumers" \
        "" "$p2p --window 100" "$p2p --window 100" 1
    zone=2g
    fresh=1
    pair mode1-ingest accepted_per_s "isPersistent: 1, nobody consumes" "" \
        "--producers 8 --ingest-only --window 100 --messages $INGEST" \
        "--producers 8 --ingest-only --window 100 --messages $INGEST" 1
    zone=128m
    fresh=

    row_mode2
    row_checkpoint
    row_stall
    row_recover

    # what is on several machines

    row_cluster
}


main() {
    deep_room=$((DEEP / 4000 + 200))    # MiB of a zone, 250 bytes a message

    if [ "$ROWS" = list ]; then
        all_rows
        exit 0
    fi

    # each side needs a descriptor for each connection; where there are several
    # processes no one has all

    if [ "$(ulimit -Hn)" != unlimited ] \
        && [ "$IDLE" -gt $(($(ulimit -Hn) - 1000)) ]
    then
        IDLE=$(($(ulimit -Hn) - 1000))
    fi

    ulimit -Sn "$(ulimit -Hn)"

    make -s -C bench || die "cannot build"
    [ -e "$MODULE" ] || die "no $MODULE; make builds it"

    mkdir -p "$PREFIX"
    : > "$RUNLOG"
    trap 'stop_server; stop_cluster' EXIT
    trap 'exit 130' INT TERM

    all_rows
    stop_server

    bench/report "$RUNLOG" "$OUT" "$MODULE" || exit
    [ "$failures" -eq 0 ]
}


main
