# Rows idle, waiting: what a consumer and a message take.

# memory KIND: bytes of all workers; Anon: their own, Shmem: the zone.  A page of
# the zone counts in parts for each process that has touched it, the master, too.
memory() {
    local pid pids files=()

    IFS=, read -ra pids <<< "$watch"

    if [ "$1" = Anon ]; then
        files=("${pids[@]/%//status}")
        awk '$1 == "RssAnon:" { n += $2 } END { print n * 1024 }' \
            "${files[@]/#//proc/}"
        return
    fi

    for pid in "$server" "${pids[@]}"; do
        files+=("/proc/$pid/smaps_rollup")
    done

    awk '$1 == "Pss_Shmem:" { n += $2 } END { print n * 1024 }' "${files[@]}"
}


# open_idlers N LOAD-ARGUMENT...: so many consumers that wait
open_idlers() {
    local line

    coproc IDLERS {
        load "$queue_port" --idle "$@" 2> "$OUT/load.log"
    }
    idlers_pid=$!
    idlers_output=${IDLERS[0]}
    idlers_input=${IDLERS[1]}

    if read -r -t 60 line <&"$idlers_output" && [ -n "$line" ]; then
        return
    fi

    failures=$((failures + 1))
    cat "$OUT/load.log" >&2
    return 1
}


# They leave; returns the generator's exit status.
close_idlers() {
    exec {idlers_input}>&-
    wait "$idlers_pid" 2> /dev/null
}


# row_idle NAME TITLE LOAD-ARGUMENT...: what an idle, logged-in consumer takes
row_idle() {
    local own zone_bytes line name=$1 title=$2

    shift 2
    wanted "$name" "$title" || return 0
    echo "bench: $name" >&2
    start_queue
    own=$(memory Anon)
    zone_bytes=$(memory Shmem)

    line=

    if open_idlers "$IDLE" "$@"; then
        own=$(($(memory Anon) - own))
        zone_bytes=$(($(memory Shmem) - zone_bytes))
        line="{\"count\": $IDLE, \"own\": $own, \"zone\": $zone_bytes}"
    fi

    record "$name" bytes "$title" queue 1 "$line"
    close_idlers
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
