# Row stall: the longest turns of the event loop.

# From here on servers tell how long their turns are, in a file of their user's.
launch_with_turns() {
    launch=(env "LD_PRELOAD=$OUT/kmq-turn.so" "KMQ_TURNS=$OUT/turns.json")
    directives="user root;"
    [ "$EUID" = 0 ] || directives=
}


launch_without_turns() {
    launch=()
    directives=
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
    launch_with_turns

    for ((run = 1; run <= RUNS; run++)); do
        start_queue
        fill_queue 1000 "$STALL" --producers 1

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

    launch_without_turns
    persistent=0
    zone=128m
    buffer=10000000
}
