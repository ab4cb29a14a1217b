#!/bin/bash
#
# Measures the queue beside the floor and prints a table of ratios; how and
# why is in README.md.  `make bench` builds the module and calls this.
#
#   RUNS=5          repetitions of each row, floor and queue in turns
#   QUICK=1         one repetition, shorter runs
#   ROWS="p2p ..."  only these rows; ROWS=list prints their names
#   DURATION=3      seconds of a run
#   SERVER_CPU=0  LOAD_CPU=1  cores of the server and of the load generator
#   IDLE=20000      consumers of the row "idle"
#   INGEST=2000000  messages of the rows "ingest"
#   WAITING=500000  messages of the row "waiting"
#   DELAYED=1000000  DELAY=60    messages, and seconds, of the row "delay"
#   CHURN=1000  CHURN_SECONDS=10 consumers that join a second, how long
#   DEEP=10000000   messages that wait in the rows "deep" and "search"
#   SEARCH_SECONDS=5             of each part of the row "search"
#   REPAIR="100000 1000000 10000000"   messages of the row "repair"
#   PORT=8040       of the queue; the floor has the next one
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
REPAIR=${REPAIR:-${QUICK:+100000 1000000}}
REPAIR=${REPAIR:-100000 1000000 10000000}
PORT=${PORT:-8040}
NGINX=${NGINX:-nginx}
MODULE=${MODULE:-$PWD/build/ngx_kapokmq_module.so}

FLOOR_PORT=$((PORT + 1))
KEY=kapokmq-bench

server=             # pid of the floor, or of nginx's master
watch=              # pids whose CPU time counts
workers=1
zone=128m           # small: its pages are all touched before it counts
buffer=10000000     # messages that may wait
failures=0


die() {
    echo "bench: $*" >&2
    exit 2
}


# Ends a process that this script has started, and waits for it.
end_process() {
    kill -"$1" "$2" 2> /dev/null
    wait "$2" 2> /dev/null
}


stop_server() {
    [ -z "$server" ] || end_process TERM "$server"
    server=
}


wait_for_port() {
    for _ in {1..200}; do
        if (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; then
            return 0
        fi

        kill -0 "$server" 2> /dev/null || return 1
        sleep 0.05
    done

    return 1
}


# ---------------------------------------------------------------- servers

# start_floor ARGUMENT...
start_floor() {
    taskset -c "$SERVER_CPU" "$OUT/kmq-floor" --port "$FLOOR_PORT" \
        --key "$KEY" --seconds 120 "$@" &
    server=$!
    watch=$server
    wait_for_port "$FLOOR_PORT" || die "the floor does not start"
}


write_nginx_conf() {
    cat > "$PREFIX/nginx.conf" << END
load_module $MODULE;
daemon off;
worker_processes $workers;
pid $PREFIX/nginx.pid;
error_log $PREFIX/error.log warn;
worker_rlimit_nofile $(ulimit -Hn);
events {
    worker_connections $((IDLE * 2 + 1000));
}
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path $PREFIX/temp;
    proxy_temp_path $PREFIX/temp;
    fastcgi_temp_path $PREFIX/temp;
    uwsgi_temp_path $PREFIX/temp;
    scgi_temp_path $PREFIX/temp;
    kapokmq_zone $zone;
    kapokmq_config $PREFIX/application.yaml;
    server {
        listen 127.0.0.1:$PORT backlog=4096;
        location /Producers/Conn/ { kapokmq_producer; }
        location /Consumers/Conn/ { kapokmq_consumer; }
        location /Console/ { kapokmq_console; }
    }
}
END
}


# start_queue "key: value" ...: keys of application.yaml
start_queue() {
    {
        echo "mq:"
        printf '  %s\n' "secretKey: $KEY" "pushMessagesSpeed: 0" \
            "isPersistent: 0" "messageChanBuffer: $buffer" "$@"
    } > "$PREFIX/application.yaml"

    write_nginx_conf
    : > "$PREFIX/error.log"

    taskset -c "$SERVER_CPU" "$NGINX" -p "$PREFIX" -c "$PREFIX/nginx.conf" \
        2> "$PREFIX/start.log" &
    server=$!

    wait_for_port "$PORT" || {
        cat "$PREFIX/start.log" "$PREFIX/error.log" >&2
        die "nginx does not start"
    }

    # the master listens before it has workers

    for _ in {1..200}; do
        watch=$(tr -s ' ' ',' < "/proc/$server/task/$server/children")
        watch=${watch%,}
        [ -z "$watch" ] || return
        sleep 0.05
    done

    die "nginx has no workers"
}


# What nginx had to complain about is part of a run's result.
queue_complaint() {
    grep -m1 -E '\[(error|crit|alert|emerg)\]' "$PREFIX/error.log"
}


# ------------------------------------------------------------------- runs

# record ROW METRIC TITLE SIDE RUN RESULT: one line of the log
record() {
    printf '{"row": "%s", "metric": "%s", "title": "%s", "side": "%s", ' \
        "$1" "$2" "$3" "$4" >> "$RUNLOG"
    printf '"run": %d, "result": %s}\n' "$5" "${6:-null}" >> "$RUNLOG"
}


# load PORT ARGUMENT...: its JSON on stdout
load() {
    local port=$1

    shift
    taskset -c "$LOAD_CPU" "$OUT/kmq-load" --port "$port" --key "$KEY" \
        --watch "$watch" --timeout $((DURATION * 4 + 30)) "$@"
}


# measure ROW METRIC TITLE SIDE RUN PORT ARGUMENT...
measure() {
    local result complaint

    result=$(load "${@:6}" 2> "$OUT/load.log") || {
        failures=$((failures + 1))
        echo "bench: $1, $4, run $5: failed" >&2
        sed 's/^/bench:   /' "$OUT/load.log" >&2
    }

    if [ "$4" = queue ] && complaint=$(queue_complaint); then
        failures=$((failures + 1))
        echo "bench: $1, run $5: $complaint" >&2
        result=
    fi

    record "${@:1:5}" "$result"
}


# Fills the zone once, so that no run measures how the kernel finds and clears
# fresh pages for it: a queue that has been up for a while has all it needs.
warm_queue() {
    local mebibytes=${zone%[mg]}

    [[ $zone = *m ]] || mebibytes=$((mebibytes * 1024))

    load "$PORT" --producers 4 --consumers 1 --window 50 --size 16000 \
        --messages $((mebibytes * 72)) > /dev/null 2> "$OUT/load.log" ||
        die "the zone cannot be filled: $(cat "$OUT/load.log")"
}


wanted() {
    if [ "$ROWS" = list ]; then
        printf '%-12s %s\n' "$1" "$2"
        return 1
    fi

    [ "$ROWS" = all ] || [[ " $ROWS " = *" $1 "* ]]
}


# row NAME METRIC TITLE FLOOR-ARGUMENTS YAML LOAD-ARGUMENTS [LOAD-ARGUMENTS
# WITH THE FLOOR]; YAML: keys of application.yaml, separated by commas
row() {
    local run keys

    wanted "$1" "$3" || return 0
    IFS=, read -ra keys <<< "$5"
    echo "bench: $1" >&2

    for ((run = 1; run <= RUNS; run++)); do
        # shellcheck disable=SC2086
        start_floor $4
        # shellcheck disable=SC2086
        measure "$1" "$2" "$3" floor "$run" "$FLOOR_PORT" ${7:-$6}
        stop_server

        start_queue "${keys[@]}"
        warm_queue
        # shellcheck disable=SC2086
        measure "$1" "$2" "$3" queue "$run" "$PORT" $6
        stop_server
    done
}


# pair NAME METRIC TITLE YAML LOAD-ARGUMENTS OTHER-LOAD-ARGUMENTS: the queue
# under two loads in turns, each time the other one first; the first load is
# the base of the ratio
pair() {
    local run side sides keys

    wanted "$1" "$3" || return 0
    IFS=, read -ra keys <<< "$4"
    echo "bench: $1" >&2

    for ((run = 1; run <= RUNS; run++)); do
        sides="base queue"
        [ $((run % 2)) = 1 ] || sides="queue base"

        for side in $sides; do
            start_queue "${keys[@]}"
            warm_queue

            if [ "$side" = base ]; then
                # shellcheck disable=SC2086
                measure "$1" "$2" "$3" base "$run" "$PORT" $5
            else
                # shellcheck disable=SC2086
                measure "$1" "$2" "$3" queue "$run" "$PORT" $6
            fi

            stop_server
        done
    done
}


# alone NAME METRIC TITLE YAML LOAD-ARGUMENTS: the queue, without a base; the
# zone is as the kernel gives it
alone() {
    local run keys

    wanted "$1" "$3" || return 0
    IFS=, read -ra keys <<< "$4"
    echo "bench: $1" >&2

    for ((run = 1; run <= RUNS; run++)); do
        start_queue "${keys[@]}"
        # shellcheck disable=SC2086
        measure "$1" "$2" "$3" queue "$run" "$PORT" $5
        stop_server
    done
}


# Is there memory for a zone of so many MiB, and something beside it?
room_for() {
    local room

    room=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)
    [ "$room" -gt $(($1 + 512)) ] && return

    echo "bench: $2 left out: it needs $(($1 + 512)) MiB of memory" >&2
    return 1
}


# ----------------------------------------------------------------- memory

# memory KIND: bytes of the first worker; Anon: its own, Shmem: the zone
memory() {
    awk -v key="Rss$1:" '$1 == key { print $2 * 1024 }' \
        "/proc/${watch%%,*}/status"
}


# What an idle, logged-in consumer takes.
row_idle() {
    local own zone_bytes line load_pid output input
    local title="memory of an idle consumer"

    wanted idle "$title" || return 0
    echo "bench: idle" >&2
    start_queue
    own=$(memory Anon)
    zone_bytes=$(memory Shmem)

    coproc IDLERS { load "$PORT" --idle "$IDLE" 2> "$OUT/load.log"; }
    load_pid=$!
    output=${IDLERS[0]}
    input=${IDLERS[1]}
    line=

    if read -r -t 60 line <&"$output" && [ -n "$line" ]; then
        own=$(($(memory Anon) - own))
        zone_bytes=$(($(memory Shmem) - zone_bytes))
        line="{\"count\": $IDLE, \"own\": $own, \"zone\": $zone_bytes}"
    else
        failures=$((failures + 1))
        cat "$OUT/load.log" >&2
    fi

    record idle bytes "$title" queue 1 "$line"
    exec {input}>&-
    wait "$load_pid" 2> /dev/null
    stop_server
}


# What a waiting message of 100 bytes takes of the zone.
row_waiting() {
    local own zone_bytes result
    local title="memory of a waiting message of 100 bytes"

    wanted waiting "$title" || return 0
    echo "bench: waiting" >&2
    zone=1g
    start_queue
    own=$(memory Anon)
    zone_bytes=$(memory Shmem)
    result=

    if load "$PORT" --ingest-only --messages "$WAITING" > /dev/null; then
        own=$(($(memory Anon) - own))
        zone_bytes=$(($(memory Shmem) - zone_bytes))
        result="{\"count\": $WAITING, \"own\": $own, \"zone\": $zone_bytes}"
    else
        failures=$((failures + 1))
    fi

    record waiting bytes "$title" queue 1 "$result"
    stop_server
    zone=128m
}


# ----------------------------------------------------------------- search

# One queue with many messages, and the latency of others while they are
# searched: without any search, for each kind of question, with all together.
row_search() {
    local kind run kinds="none count get delete status topic time page all"
    local all="count,get,delete,status,topic,time,page"
    local title="10,000 messages a second while $DEEP are searched"

    wanted search "$title" || return 0
    room_for "$deep_room" search || return 0
    echo "bench: search" >&2
    zone=${deep_room}m
    buffer=$((DEEP * 2))

    for ((run = 1; run <= RUNS; run++)); do
        start_queue
        load "$PORT" --ingest-only --producers 1 --topics 8 --topic waits \
            --messages "$DEEP" --window 1000 > /dev/null 2> "$OUT/load.log" ||
            die "the queue cannot be filled: $(cat "$OUT/load.log")"

        for kind in $kinds; do
            set -- --topic "probe-$kind" \
                --producers 8 --consumers 8 --rate 10000 \
                --seconds "$SEARCH_SECONDS" --warmup 0.2 \
                --timeout $((SEARCH_SECONDS * 4 + 60))

            case $kind in
                none) ;;
                all) set -- "$@" --search "$all" ;;
                *) set -- "$@" --search "$kind" ;;
            esac

            measure search search "$title" "$kind" "$run" "$PORT" "$@"
        done

        stop_server
    done

    zone=128m
    buffer=10000000
}


# ----------------------------------------------------------------- repair

# How long everybody waits when a worker has died inside the lock.
row_repair() {
    local run n result
    local title="the others wait after a death inside the lock"

    wanted repair "$title" || return 0
    echo "bench: repair" >&2

    for n in $REPAIR; do
        room_for $((n / 4000 + 16)) "repair of $n" || continue

        for ((run = 1; run <= RUNS; run++)); do
            result=$("$OUT/kmq-repair" --messages "$n" 2> "$OUT/load.log") || {
                failures=$((failures + 1))
                echo "bench: repair, $n messages: failed" >&2
                sed 's/^/bench:   /' "$OUT/load.log" >&2
            }

            record repair repair "$title" "$n" "$run" "$result"
        done
    done
}


# ------------------------------------------------------------------- rows

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

    row_idle
    row_waiting

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
    row_repair
}


main() {
    deep_room=$((DEEP / 4000 + 200))    # MiB of a zone, 250 bytes a message

    if [ "$ROWS" = list ]; then
        all_rows
        exit 0
    fi

    # each side needs a descriptor for each connection

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
    trap 'stop_server' EXIT
    trap 'exit 130' INT TERM

    all_rows
    stop_server

    bench/report "$RUNLOG" "$OUT" "$MODULE" || exit
    [ "$failures" -eq 0 ]
}


main
