# Rows repair, capacity, cores, recover: the engine alone, without a server.

# How long everybody waits when a worker has died inside the lock.
row_repair() {
    local run case n topics result
    local title="the others wait after a death inside the lock"

    wanted repair "$title" || return 0
    echo "bench: repair" >&2

    for case in $REPAIR; do
        IFS=/ read -r n topics <<< "$case"
        room_for $((n / 4000 + 16)) "repair of $n" || continue

        for ((run = 1; run <= RUNS; run++)); do
            result=$("$OUT/kmq-repair" --messages "$n" --topics "$topics" \
                2> "$OUT/load.log") || failed "repair, $case"

            record repair repair "$title" "$case" "$run" "$result"
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


# What a second core brings, to the queue and at most.  A case is the size of
# batches, other work for a message in ns, and whose the topics are.
row_cores() {
    local run case batch work topics side options result
    local title="two workers against one"

    wanted cores "$title" || return 0
    room_for 256 cores || return 0
    echo "bench: cores" >&2

    for ((run = 1; run <= RUNS; run++)); do
        for case in $CORES; do
            IFS=/ read -r batch work topics <<< "$case"

            for side in one two apart; do
                options="--batch $batch --work $work"
                [ $side != one ] || options+=" --workers 1"
                [ $side != apart ] || options+=" --apart"
                [ "$topics" != common ] || options+=" --one-topic"

                # shellcheck disable=SC2086
                result=$("$OUT/kmq-cores" $options 2> "$OUT/load.log") ||
                    failed "cores, $case, $side"

                record cores cores "$title" "$case/$side" "$run" "$result"
            done
        done
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
