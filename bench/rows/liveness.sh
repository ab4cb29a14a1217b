# Rows heartbeat, reload: what it costs to know who is there, and how those who
# are there are sent to new workers.  A process has not descriptors enough for
# all, so there are several, of the server and of the generator.

# ns of CPU time that the workers have had
worker_cpu() {
    local ns all=0 pid pids _

    IFS=, read -ra pids <<< "$watch"

    for pid in "${pids[@]}"; do
        read -r ns _ < "/proc/$pid/schedstat"
        all=$((all + ns))
    done

    echo "$all"
}


# spread_queue KEY: VALUE ...: as start_queue, for $IDLE_ALL clients
spread_queue() {
    workers=$IDLE_WORKERS
    start_queue "$@"
    workers=1
}


# heartbeat_part TITLE SIDE SECONDS: idle consumers, with that heartbeat
heartbeat_part() {
    local own zone_bytes cpu result=

    spread_queue "heartbeat: $3"
    own=$(memory Anon)
    zone_bytes=$(memory Shmem)

    if open_idlers "$IDLE_ALL" --spread "$IDLE_SPREAD" \
        --timeout $((BEATS + 180))
    then
        # whoever has just come is not idle yet
        sleep 2
        cpu=$(worker_cpu)
        sleep "$BEATS"
        cpu=$(($(worker_cpu) - cpu))
        own=$(($(memory Anon) - own))
        zone_bytes=$(($(memory Shmem) - zone_bytes))
        result="{\"count\": $IDLE_ALL, \"seconds\": $BEATS, \"cpu_ns\": $cpu, "
        result+="\"own\": $own, \"zone\": $zone_bytes}"
    fi

    close_idlers || result=
    record heartbeat heartbeat "$1" "$2" 1 "$result"
    stop_server
}


# CPU time and memory of idle consumers, with heartbeats and without.
row_heartbeat() {
    local title="$IDLE_ALL idle consumers"

    wanted heartbeat "$title" || return 0
    echo "bench: heartbeat" >&2
    heartbeat_part "$title" none 0
    heartbeat_part "$title" heartbeat 30
}


# How evenly a reload sends clients to new workers, who come at once, and how
# late the messages are that come meanwhile, against as long before it.
row_reload() {
    local run result title="$IDLE_ALL clients, drainTime $DRAIN"
    local patience=$((DRAIN * 3 + 180))

    wanted reload "$title" || return 0
    echo "bench: reload" >&2

    for ((run = 1; run <= RUNS; run++)); do
        spread_queue "drainTime: $DRAIN"
        result=

        # the generator tells when all are back

        if open_idlers "$IDLE_ALL" --spread "$IDLE_SPREAD" --return "$DRAIN" \
            --rate "$RELOAD_RATE" --timeout "$patience"
        then
            sleep $((DRAIN + 1))
            kill -HUP "$server"
            read -r -t "$patience" result <&"$idlers_output"
        fi

        close_idlers || failed "reload, run $run"
        record reload reload "$title" queue "$run" "$result"
        stop_server
    done
}
