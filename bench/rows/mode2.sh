# Row mode2: a message is on disk before it is answered.

# What the journal's thread, the first that a worker starts, has written:
# bytes, and batches; after each it writes to an eventfd, too.
journal_written() {
    local thread

    thread=$(printf '%s\n' "/proc/$watch/task"/* | sort -V | sed -n 2p)

    awk '$1 == "wchar:" { bytes = $2 }
         $1 == "syscw:" { batches = int($2 / 2) }
         END { print bytes - 8 * batches, batches + 0 }' "$thread/io"
}


# mode2_side NAME TITLE RUN SIDE LOAD-ARGUMENT...: what the disk allows is
# measured after the queue, with batches of the same size
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
            2> "$OUT/load.log") ||
            failed "$1, disk, run $3"
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
