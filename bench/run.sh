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
#   DEEP=10000000   messages that wait in the rows "deep", "search", "console"
#   SEARCH_SECONDS=5             of each part of the rows "search", "console"
#   REPAIR="100000 1000000 10000000"   messages of the row "repair"
#   CAPACITY="8 64 256"   MiB of the row "capacity"
#   CHECKPOINT=5000000  CHECKPOINT_SECONDS=10   messages that wait in the row
#                   "checkpoint", seconds of each part of it
#   RECOVER=5000000 messages of the row "recover"
#   STALL=5000000  STALL_SECONDS=10   messages that wait in the row "stall",
#                   seconds of each part of it
#   WORKERS=200000  messages of the row "workers"
#   PORT=8040       of the queue; the floor has the next one, TLS the third
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
CAPACITY=${CAPACITY:-${QUICK:+8}}
CAPACITY=${CAPACITY:-8 64 256}
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
fresh=              # 1: the zone is as the kernel gives it
launch=()           # what a server is started by
queue_port=$PORT    # where the queue is measured
directives=         # of nginx.conf, beside the others: for all of it
listens=            # and for its server
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
    taskset -c "$SERVER_CPU" "${launch[@]}" "$OUT/kmq-floor" \
        --port "$FLOOR_PORT" --key "$KEY" --seconds 120 "$@" &
    server=$!
    watch=$server
    wait_for_port "$FLOOR_PORT" || die "the floor does not start"
}


write_nginx_conf() {
    local reuseport='' files=''

    # under valgrind there are a few less; what this script has is inherited

    [ "${launch[0]:-}" = valgrind ] ||
        files="worker_rlimit_nofile $(ulimit -Hn);"

    [ "$workers" = 1 ] || reuseport=" reuseport"

    cat > "$PREFIX/nginx.conf" << END
load_module $MODULE;
$directives
daemon off;
worker_processes $workers;
pid $PREFIX/nginx.pid;
error_log $PREFIX/error.log notice;
$files
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
        listen 127.0.0.1:$PORT backlog=4096$reuseport;
        $listens
        location /Producers/Conn/ { kapokmq_producer; }
        location /Consumers/Conn/ { kapokmq_consumer; }
        location /Console/ { kapokmq_console; }
        location / { root $PWD/view/dist; include /etc/nginx/mime[.]types; }
    }
}
END
}


# start_queue "key: value" ...: keys of application.yaml
start_queue() {
    local pids=()

    {
        echo "mq:"
        printf '  %s\n' "secretKey: $KEY" "pushMessagesSpeed: 0" \
            "isPersistent: $persistent" "messageChanBuffer: $buffer" "$@"
    } > "$PREFIX/application.yaml"

    rm -rf "$PREFIX/MQDATA"

    write_nginx_conf
    : > "$PREFIX/error.log"

    taskset -c "$SERVER_CPU" "${launch[@]}" "$NGINX" -p "$PREFIX" \
        -c "$PREFIX/nginx.conf" 2> "$PREFIX/start.log" &
    server=$!

    wait_for_port "$PORT" || {
        cat "$PREFIX/start.log" "$PREFIX/error.log" >&2
        die "nginx does not start"
    }

    # the master listens before it has workers

    for _ in {1..200}; do
        read -ra pids < "/proc/$server/task/$server/children"
        watch=$(IFS=,; echo "${pids[*]}")
        [ "${#pids[@]}" -lt "$workers" ] || return
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

    [ -z "$fresh" ] || return
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
        measure "$1" "$2" "$3" queue "$run" "$queue_port" $6
        stop_server
    done
}


# pair NAME METRIC TITLE YAML LOAD-ARGUMENTS OTHER-LOAD-ARGUMENTS [MODE]: the
# queue under two loads in turns, each time the other one first; the first load
# is the base of the ratio; MODE: isPersistent under the second one
pair() {
    local run side sides keys arguments

    wanted "$1" "$3" || return 0
    IFS=, read -ra keys <<< "$4"
    echo "bench: $1" >&2

    for ((run = 1; run <= RUNS; run++)); do
        sides="base queue"
        [ $((run % 2)) = 1 ] || sides="queue base"

        for side in $sides; do
            arguments=$5

            if [ "$side" = queue ]; then
                arguments=$6
                persistent=${7:-0}
            fi

            start_queue "${keys[@]}"
            warm_queue
            # shellcheck disable=SC2086
            measure "$1" "$2" "$3" "$side" "$run" "$PORT" $arguments
            stop_server
            persistent=0
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


# row_idle NAME TITLE LOAD-ARGUMENT...: what an idle, logged-in consumer takes
row_idle() {
    local own zone_bytes line load_pid output input name=$1 title=$2

    shift 2
    wanted "$name" "$title" || return 0
    echo "bench: $name" >&2
    start_queue
    own=$(memory Anon)
    zone_bytes=$(memory Shmem)

    coproc IDLERS {
        load "$queue_port" --idle "$IDLE" "$@" 2> "$OUT/load.log"
    }
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

    record "$name" bytes "$title" queue 1 "$line"
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

# row_questions NAME TITLE TOPICS KIND...: point to point while DEEP messages wait
# in so many topics, and the console is asked: nothing, each kind of question, all
# of them together.
row_questions() {
    local run kind all name=$1 title=$2 topics=$3

    shift 3
    wanted "$name" "$title" || return 0
    room_for "$deep_room" "$name" || return 0
    echo "bench: $name" >&2
    zone=${deep_room}m
    buffer=$((DEEP * 2))
    all=$(IFS=,; echo "$*")

    for ((run = 1; run <= RUNS; run++)); do
        start_queue
        load "$PORT" --ingest-only --producers 1 --topics "$topics" \
            --topic waits --messages "$DEEP" --window 1000 > /dev/null \
            2> "$OUT/load.log" ||
            die "the queue cannot be filled: $(cat "$OUT/load.log")"

        for kind in none "$@" all; do
            local search=()

            case $kind in
                none) ;;
                all) search=(--search "$all") ;;
                *) search=(--search "$kind") ;;
            esac

            measure "$name" search "$title" "$kind" "$run" "$PORT" \
                --topic "probe-$kind" --producers 8 --consumers 8 \
                --rate 10000 --seconds "$SEARCH_SECONDS" --warmup 0.2 \
                --timeout $((SEARCH_SECONDS * 4 + 60)) "${search[@]}"
        done

        stop_server
    done

    zone=128m
    buffer=10000000
}


row_search() {
    row_questions search \
        "10,000 messages a second while $DEEP are searched" \
        8 count get delete status topic time page
}


# The same with the page itself, in a browser beside the load generator.
row_page() {
    local run browser result title="console page, $DEEP wait in 1,000 topics"

    wanted page "$title" || return 0
    room_for "$deep_room" page || return 0

    if ! [ -e view/dist/index.html ] || ! [ -d t/node_modules ]; then
        echo "bench: page: left out, see README.md for what it needs" >&2
        return 0
    fi

    echo "bench: page" >&2
    zone=${deep_room}m
    buffer=$((DEEP * 2))

    for ((run = 1; run <= RUNS; run++)); do
        start_queue
        load "$PORT" --ingest-only --producers 1 --topics 1000 \
            --topic waits --messages "$DEEP" --window 1000 > /dev/null \
            2> "$OUT/load.log" ||
            die "the queue cannot be filled: $(cat "$OUT/load.log")"

        browser=$(mktemp -d "$OUT/browser.XXXXXX")
        result=$(taskset -c "$LOAD_CPU" node bench/page.js "$PORT" "$KEY" \
            "$browser" 2> "$OUT/load.log") || {
            failures=$((failures + 1))
            sed 's/^/bench:   /' "$OUT/load.log" >&2
        }
        rm -rf "$browser"
        record page page "$title" queue "$run" "$result"
        stop_server
    done

    zone=128m
    buffer=10000000
}


row_console() {
    row_questions console \
        "10,000 messages a second, $DEEP wait in 1,000 topics" \
        1000 overview topics detail growth clients newest
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


# --------------------------------------------------------------- capacity

# What fits beside messages that stay; it is counted, so once is enough.
row_capacity() {
    local n result title="what fits beside survivors"

    wanted capacity "$title" || return 0
    echo "bench: capacity" >&2

    for n in $CAPACITY; do
        room_for $((n * 2)) "capacity of $n MiB" || continue

        result=$("$OUT/kmq-capacity" --zone "$n" 2> "$OUT/load.log") || {
            failures=$((failures + 1))
            echo "bench: capacity, $n MiB: failed" >&2
            sed 's/^/bench:   /' "$OUT/load.log" >&2
        }

        record capacity capacity "$title" "$n" 1 "$result"
    done
}


# -------------------------------------------------------------------- TLS

# A certificate, if the floor, the load generator and nginx can do with one.
make_certificate() {
    (
        umask 077
        openssl req -x509 -nodes -newkey ec -days 30 -subj /CN=localhost \
            -pkeyopt ec_paramgen_curve:prime256v1 \
            -keyout "$CERTIFICATE.key" -out "$CERTIFICATE.crt" &&
            cat "$CERTIFICATE.crt" "$CERTIFICATE.key" > "$CERTIFICATE"
    ) 2> "$OUT/load.log" &&
        "$OUT/kmq-floor" --port "$FLOOR_PORT" --tls "$CERTIFICATE" \
            --seconds 0 2> "$OUT/load.log" &&
        "$NGINX" -V 2>&1 | grep -q -- --with-http_ssl_module
}


# The same over wss; who fills the zone does without.
rows_tls() {
    local p2p="--tls --producers 8 --consumers 8 --seconds $DURATION"
    local title="8 and 8, 100 B, wss" idle="memory of an idle consumer, wss"

    if [ "$ROWS" != list ]; then
        [ "$ROWS" = all ] || [[ " $ROWS " =~ \ (tls|idle-tls)\  ]] || return 0

        make_certificate || {
            echo "bench: tls left out: it needs libssl-dev, openssl, and" \
                "nginx with its ssl module" >&2
            return 0
        }
    fi

    queue_port=$TLS_PORT
    listens="listen 127.0.0.1:$TLS_PORT ssl backlog=4096;
        ssl_certificate $CERTIFICATE;
        ssl_certificate_key $CERTIFICATE;
        ssl_protocols TLSv1.3;"

    row tls delivered_per_s "$title" "--tls $CERTIFICATE" "" \
        "$p2p --window 100"
    row_idle idle-tls "$idle" --tls

    listens=
    queue_port=$PORT
}


# ---------------------------------------------------------------- workers

# counted N DIRECTORY: the instructions of N messages
counted() {
    rm -rf "$2"
    mkdir "$2"
    launch=(valgrind -q --tool=callgrind "--callgrind-out-file=$2/%p")
    start_queue

    load "$PORT" --producers 32 --consumers 32 --window 100 --drain 60 \
        --messages "$1" --timeout 600 2> "$OUT/load.log" > "$OUT/part.json"
    local status=$?

    stop_server
    launch=()
    [ "$status" = 0 ] && ! queue_complaint > "$OUT/load.log"
}


# Two workers against one: how many instructions a message takes altogether.
row_workers() {
    local run side result cpus=$SERVER_CPU
    local title="32 producers, 32 consumers, one worker and two"

    wanted workers "$title" || return 0

    if ! command -v valgrind > /dev/null; then
        echo "bench: workers left out: it needs valgrind" >&2
        return 0
    fi

    echo "bench: workers" >&2
    zone=16m                   # full of history after the first messages
    directives="user root;"    # workers write what they have counted
    [ "$EUID" = 0 ] || directives=

    for ((run = 1; run <= RUNS; run++)); do
        for side in base queue; do
            workers=1
            [ $side = base ] || workers=2
            [ $side = base ] || SERVER_CPU=$SERVER_CPU,$LOAD_CPU
            result=

            if counted "$WORKERS" "$OUT/callgrind-1" \
                && counted $((WORKERS * 2)) "$OUT/callgrind-2"
            then
                result=$(bench/workers.py "$WORKERS" "$OUT/callgrind-1" \
                    "$OUT/callgrind-2" "$OUT/part.json" 2> "$OUT/load.log")
            fi

            if [ -z "$result" ]; then
                failures=$((failures + 1))
                echo "bench: workers, $workers, run $run: failed" >&2
                sed 's/^/bench:   /' "$OUT/load.log" >&2
            fi

            record workers workers "$title" "$side" "$run" "$result"
            SERVER_CPU=$cpus
        done
    done

    workers=1
    directives=
    zone=128m
}


# ------------------------------------------------------------------- disk

# What the journal's thread, the first that a worker starts, has written:
# bytes, and batches; after each it writes to an eventfd, too.
journal_written() {
    local thread

    thread=$(printf '%s\n' "/proc/$watch/task"/* | sort -V | sed -n 2p)

    awk '$1 == "wchar:" { bytes = $2 }
         $1 == "syscw:" { batches = int($2 / 2) }
         END { print bytes - 8 * batches, batches + 0 }' "$thread/io"
}


# mode2_side NAME TITLE RUN SIDE LOAD-ARGUMENT...: what the disk allows is measured
# after the queue, with batches of the same size
mode2_side() {
    local bytes batches result

    [ "$4" = base ] || persistent=2
    start_queue
    measure "$1" mode2 "$2" "$4" "$3" "$PORT" "${@:5}"
    [ "$persistent" = 0 ] || read -r bytes batches < <(journal_written)
    stop_server

    if [ "$persistent" = 2 ]; then
        persistent=0
        result=$(taskset -c "$SERVER_CPU" "$OUT/kmq-disk" --dir "$PREFIX" \
            --seconds 1 --bytes $((batches ? bytes / batches : 0)) \
            2> "$OUT/load.log") || {
            failures=$((failures + 1))
            sed 's/^/bench:   /' "$OUT/load.log" >&2
        }
        result=${result:+${result%\}}, \"queue_bytes\": $bytes, }
        result=${result:+$result\"queue_batches\": $batches\}}
        record "$1" mode2 "$2" disk "$3" "$result"
    fi
}


# A message is on disk before it is answered; beside it memory alone, and what
# the disk allows.
row_mode2() {
    local run n window length side sides name title

    wanted mode2 "isPersistent: 2 and 0, and what the disk allows" || return 0
    zone=2g
    room_for 2048 mode2 || return 0
    echo "bench: mode2" >&2

    for window in 1000 1; do
        length=--messages=$INGEST
        [ "$window" != 1 ] || length=--seconds=$DURATION

        for n in 1 8 64; do
            name=mode2-$n
            title="$n producers, window 1,000"
            [ "$window" != 1 ] || name=mode2-one-$n title="$n, one at a time"

            for ((run = 1; run <= RUNS; run++)); do
                sides="base queue"
                [ $((run % 2)) = 1 ] || sides="queue base"

                for side in $sides; do
                    mode2_side "$name" "$title" "$run" "$side" --ingest-only \
                        --answers --producers "$n" --window "$window" "$length"
                done
            done
        done
    done

    zone=128m
}


checkpoint_line='.*checkpoint [0-9]+: ([0-9]+) messages, ([0-9]+) bytes, '
checkpoint_line+='([0-9]+) ms.*'


# How many checkpoints the log tells of.
checkpoints() {
    grep -cE "$checkpoint_line" "$PREFIX/error.log"
}


# Has the queue make a checkpoint, as soon as it may, by taking the journals
# away: it finds that out and writes down all it has.  Ends with the load.
provoke_checkpoints() {
    local before

    while kill -0 "$1" 2> /dev/null; do
        before=$(checkpoints)
        rm -f "$PREFIX"/MQDATA/journal-*

        while kill -0 "$1" 2> /dev/null && [ "$(checkpoints)" = "$before" ]; do
            sleep 0.1
        done
    done
}


# Returns when the checkpoints of what was filled in are over: the journal of
# the last one is shorter than it, so that none is due.
quiet_checkpoints() {
    local before=-1 idle=0

    while [ "$idle" -lt 20 ]; do
        sleep 0.1
        idle=$((idle + 1))

        if [ "$(checkpoints)" != "$before" ] \
            || compgen -G "$PREFIX/MQDATA/*.new" > /dev/null
        then
            before=$(checkpoints)
            idle=0
        fi
    done
}


# checkpoint_part NAME PART RUN PROVOKE LOAD-ARGUMENT...: sets $result to the
# load's, and the checkpoints that were made meanwhile, for PROVOKE one after
# the other
checkpoint_part() {
    local complaint before made pid

    before=$(checkpoints)
    load "$PORT" --topic "probe-$2" --producers 8 --consumers 8 "${@:5}" \
        > "$OUT/part.json" 2> "$OUT/load.log" &
    pid=$!
    [ -z "$4" ] || provoke_checkpoints "$pid"

    wait "$pid" || {
        failures=$((failures + 1))
        echo "bench: $1, $2, run $3: failed" >&2
        sed 's/^/bench:   /' "$OUT/load.log" >&2
    }

    made=$(sed -nE "s/$checkpoint_line/{\"messages\": \1, \"bytes\": \2, \
\"ms\": \3},/p" "$PREFIX/error.log" | tail -n +$((before + 1)) | tr -d '\n')
    result=$(cat "$OUT/part.json")
    result=${result:+${result%\}}, \"checkpoints\": [${made%,}]\}}

    # that a journal is not there is meant

    if complaint=$(grep -E '\[(error|crit|alert|emerg)\]' \
        "$PREFIX/error.log" | grep -m1 -v 'looking for a journal failed')
    then
        failures=$((failures + 1))
        echo "bench: $1, $2, run $3: $complaint" >&2
        result=
    fi
}


# Others' latency while many messages are written into checkpoints.
row_checkpoint() {
    local run part provoke result title room=$((CHECKPOINT / 4000 + 400))

    title="10,000 messages a second, checkpoints of $CHECKPOINT messages"
    wanted checkpoint "$title" || return 0
    room_for "$room" checkpoint || return 0
    echo "bench: checkpoint" >&2
    zone=${room}m
    buffer=$((CHECKPOINT * 2))
    persistent=1

    for ((run = 1; run <= RUNS; run++)); do
        start_queue
        load "$PORT" --ingest-only --topics 8 --topic waits \
            --messages "$CHECKPOINT" --window 1000 \
            > /dev/null 2> "$OUT/load.log" ||
            die "the queue cannot be filled: $(cat "$OUT/load.log")"

        quiet_checkpoints

        for part in none made; do
            provoke=
            [ $part = none ] || provoke=1
            checkpoint_part checkpoint "$part" "$run" "$provoke" \
                --rate 10000 --seconds "$CHECKPOINT_SECONDS" --warmup 0.5
            record checkpoint checkpoint "$title" "$part" "$run" "$result"
        done

        stop_server
    done

    persistent=0
    zone=128m
    buffer=10000000
}


# The worker's turns since it was asked before; it needs one more to answer.
turns() {
    rm -f "$OUT/turns.json"
    kill -RTMIN "$watch" || return

    for _ in {1..200}; do
        if [ -e "$OUT/turns.json" ]; then
            cat "$OUT/turns.json"
            return
        fi

        sleep 0.05
    done

    echo "bench: no turns" >&2
    return 1
}


# stall_record TITLE PART RUN RESULT
stall_record() {
    local part result=$4

    if ! part=$(turns); then
        failures=$((failures + 1))
        result=
    fi

    result=${result:+${result%\}}, \"turns\": $part\}}
    record stall stall "$1" "$2" "$3" "$result"
}


# stall_part TITLE PART RUN PROVOKE LOAD-ARGUMENT...
stall_part() {
    local result

    turns > /dev/null
    checkpoint_part stall "$2" "$3" "$4" --window 100 \
        --seconds "$STALL_SECONDS" "${@:5}"
    stall_record "$1" "$2" "$3" "$result"
}


# stall_floor TITLE RUN: what this machine makes of turns that do next to
# nothing
stall_floor() {
    local result

    start_floor
    turns > /dev/null

    result=$(load "$FLOOR_PORT" --topic probe --producers 8 --consumers 8 \
        --window 100 --seconds "$STALL_SECONDS") || {
        failures=$((failures + 1))
        result=
    }

    stall_record "$1" floor "$2" \
        "${result:+${result%\}}, \"checkpoints\": []\}}"
    stop_server
}


# The longest turns of the event loop under full load.
row_stall() {
    local run title room=$((STALL / 4000 + 400))
    local ask=overview,topics,detail,growth,clients,newest

    title="isPersistent: 1, 8 and 8, $STALL wait in 1,000 topics"
    wanted stall "$title" || return 0
    room_for "$room" stall || return 0
    echo "bench: stall" >&2
    zone=${room}m
    buffer=$((STALL * 2))
    persistent=1
    launch=(env "LD_PRELOAD=$OUT/kmq-turn.so" "KMQ_TURNS=$OUT/turns.json")
    directives="user root;"    # of whom the file is to be
    [ "$EUID" = 0 ] || directives=

    for ((run = 1; run <= RUNS; run++)); do
        start_queue
        load "$PORT" --ingest-only --producers 1 --topics 1000 --topic waits \
            --messages "$STALL" --window 1000 \
            > /dev/null 2> "$OUT/load.log" ||
            die "the queue cannot be filled: $(cat "$OUT/load.log")"

        quiet_checkpoints

        stall_part "$title" none "$run" ""
        stall_part "$title" checkpoints "$run" 1
        stall_part "$title" console "$run" "" --search "$ask" --pause 2
        stall_part "$title" both "$run" 1 --search "$ask" --pause 2
        stall_part "$title" asked "$run" "" --search "$ask"
        stall_part "$title" both-asked "$run" 1 --search "$ask"

        stop_server
        stall_floor "$title" "$run"
    done

    launch=()
    directives=
    persistent=0
    zone=128m
    buffer=10000000
}


# From its files to a queue.
row_recover() {
    local run side options result title="recovery of $RECOVER messages"

    wanted recover "$title" || return 0
    room_for $((RECOVER / 2000 + 64)) recover || return 0
    echo "bench: recover" >&2

    for ((run = 1; run <= RUNS; run++)); do
        for side in journal checkpoint; do
            options=
            [ $side = journal ] || options=--checkpoint
            rm -rf "$OUT/recover"
            mkdir "$OUT/recover"

            # shellcheck disable=SC2086
            result=$(taskset -c "$SERVER_CPU" "$OUT/kmq-recover" $options \
                --dir "$OUT/recover" --messages "$RECOVER" \
                2> "$OUT/load.log") || {
                failures=$((failures + 1))
                echo "bench: recover, $side: failed" >&2
                sed 's/^/bench:   /' "$OUT/load.log" >&2
            }

            record recover recover "$title" "$side" "$run" "$result"
        done
    done

    rm -rf "$OUT/recover"
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

    row_idle idle "memory of an idle consumer"
    row_waiting
    rows_tls
    row_workers

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
