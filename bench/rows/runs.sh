# Runs of the load generator, and the shapes of rows: row, pair, alone.

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


# failed WHAT: a run has; says why
failed() {
    failures=$((failures + 1))
    echo "bench: $1: failed" >&2
    sed 's/^/bench:   /' "$OUT/load.log" >&2
}


# fill_queue TOPICS MESSAGES LOAD-ARGUMENT...: so many wait
fill_queue() {
    load "$PORT" --ingest-only --topics "$1" --topic waits --messages "$2" \
        --window 1000 "${@:3}" > /dev/null 2> "$OUT/load.log" ||
        die "the queue cannot be filled: $(cat "$OUT/load.log")"
}


# measure ROW METRIC TITLE SIDE RUN PORT ARGUMENT...; $also: members of the
# result that the generator does not know
measure() {
    local result complaint

    result=$(load "${@:6}" 2> "$OUT/load.log") ||
        failed "$1, $4, run $5"

    if [ "$4" != floor ] && complaint=$(queue_complaint); then
        failures=$((failures + 1))
        echo "bench: $1, run $5: $complaint" >&2
        result=
    fi

    record "${@:1:5}" "${result:+${result%\}}$also\}}"
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
