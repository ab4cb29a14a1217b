# Rows repair, capacity, recover: the engine alone, without a server.

# How long everybody waits when a worker has died inside the lock.
row_repair() {
    local run n result
    local title="the others wait after a death inside the lock"

    wanted repair "$title" || return 0
    echo "bench: repair" >&2

    for n in $REPAIR; do
        room_for $((n / 4000 + 16)) "repair of $n" || continue

        for ((run = 1; run <= RUNS; run++)); do
            result=$("$OUT/kmq-repair" --messages "$n" 2> "$OUT/load.log") ||
                failed "repair, $n messages"

            record repair repair "$title" "$n" "$run" "$result"
        done
    done
}


# What fits beside messages that stay; it is counted, so once is enough.
row_capacity() {
    local n result title="what fits beside survivors"

    wanted capacity "$title" || return 0
    echo "bench: capacity" >&2

    for n in $CAPACITY; do
        room_for $((n * 2)) "capacity of $n MiB" || continue

        result=$("$OUT/kmq-capacity" --zone "$n" 2> "$OUT/load.log") ||
            failed "capacity, $n MiB"

        record capacity capacity "$title" "$n" 1 "$result"
    done
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
                2> "$OUT/load.log") ||
                failed "recover, $side"

            record recover recover "$title" "$side" "$run" "$result"
        done
    done

    rm -rf "$OUT/recover"
}
