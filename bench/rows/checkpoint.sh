# Row checkpoint, and for others: checkpoints while messages pass.

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

    wait "$pid" ||
        failed "$1, $2, run $3"

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
        fill_queue 8 "$CHECKPOINT"

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
