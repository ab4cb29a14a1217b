# Row workers: two of them under callgrind.

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
