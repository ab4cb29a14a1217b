# Rows workers, cores-nginx: two of them, under callgrind and on the clock.

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
                result=$(bench/probes/workers.py "$WORKERS" "$OUT/callgrind-1" \
                    "$OUT/callgrind-2" "$OUT/part.json" 2> "$OUT/load.log")
            fi

            if [ -z "$result" ]; then
                failed "workers, $workers, run $run"
            fi

            record workers workers "$title" "$side" "$run" "$result"
            SERVER_CPU=$cpus
        done
    done

    workers=1
    directives=
    zone=128m
}


# How long a cache line takes from core to core now, as a member of a result.
move_time() {
    "$OUT/kmq-cores" --seconds 0.01 | grep -o ', "move_ns": [0-9.]*'
}


# Two workers against one: the CPU time of a message, its part in the kernel
# included.  A case is the number of topics, which share 16 producers and 16
# consumers, and the window; or the window and a rate, WINDOW@RATE, that all
# producers keep together, so that one worker and two do the same.  Nobody is bound to a core: there are more
# processes than cores, and where each runs is up to the kernel, as elsewhere.
row_cores_nginx() {
    local run case topics window rate sides side cpus="$SERVER_CPU $LOAD_CPU"
    local title="16 producers, 16 consumers, one worker and two"

    wanted cores-nginx "$title" || return 0
    echo "bench: cores-nginx" >&2
    SERVER_CPU=$(taskset -cp $$)
    SERVER_CPU=${SERVER_CPU##* }
    LOAD_CPU=$SERVER_CPU

    for ((run = 1; run <= RUNS; run++)); do
        sides="one two"
        [ $((run % 2)) = 1 ] || sides="two one"

        for case in $CORES_NGINX; do
            IFS=/@ read -r topics window rate <<< "$case"

            for side in $sides; do
                [ $side = one ] || workers=2
                start_queue
                warm_queue
                also=$(move_time)
                measure cores-nginx cores-nginx "$title" "$case/$side" "$run" \
                    "$PORT" --topics "$topics" --producers $((16 / topics)) \
                    --consumers $((16 / topics)) --window "$window" \
                    ${rate:+--rate "$rate"} \
                    --seconds "$DURATION"
                stop_server
                workers=1
                also=
            done
        done
    done

    read -r SERVER_CPU LOAD_CPU <<< "$cpus"
}
