# Rows heartbeat, reload: what it costs to know who is there, and how those who
# are there are sent to new workers.

# ns of CPU time that the first worker has had
worker_cpu() {
    local ns _

    read -r ns _ < "/proc/${watch%%,*}/schedstat"
    echo "$ns"
}


# heartbeat_part TITLE SIDE SECONDS: idle consumers, with that heartbeat
heartbeat_part() {
    local own zone_bytes cpu result=

    start_queue "heartbeat: $3"
    own=$(memory Anon)
    zone_bytes=$(memory Shmem)

    if open_idlers --timeout $((BEATS + 120)); then
        # whoever has just come is not idle yet
        sleep 2
        cpu=$(worker_cpu)
        sleep "$BEATS"
        cpu=$(($(worker_cpu) - cpu))
        own=$(($(memory Anon) - own))
        zone_bytes=$(($(memory Shmem) - zone_bytes))
        result="{\"count\": $IDLE, \"seconds\": $BEATS, \"cpu_ns\": $cpu, "
        result+="\"own\": $own, \"zone\": $zone_bytes}"
    fi

    close_idlers || result=
    record heartbeat heartbeat "$1" "$2" 1 "$result"
    stop_server
}


# CPU time and memory of idle consumers, with heartbeats and without.
row_heartbeat() {
    local title="$IDLE idle consumers"

    wanted heartbeat "$title" || return 0
    echo "bench: heartbeat" >&2
    heartbeat_part "$title" none 0
    heartbeat_part "$title" heartbeat 30
}


# How evenly a reload sends clients to new workers, who come at once.
row_reload() {
    local run result title="$IDLE clients, drainTime $DRAIN"
    local patience=$((DRAIN * 2 + 120))

    wanted reload "$title" || return 0
    echo "bench: reload" >&2

    for ((run = 1; run <= RUNS; run++)); do
        start_queue "drainTime: $DRAIN"
        result=

        # the generator tells when all are back

        if open_idlers --return "$DRAIN" --timeout "$patience"; then
            kill -HUP "$server"
            read -r -t "$patience" result <&"$idlers_output"
        fi

        close_idlers || failed "reload, run $run"
        record reload reload "$title" queue "$run" "$result"
        stop_server
    done
}
