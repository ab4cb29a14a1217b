# Rows doors, doors-idle: clients without a WebSocket, beside those with one.

# door SIDE ZONE LOAD-ARGUMENT...: one run of it
door() {
    zone=$2
    start_queue
    warm_queue
    measure doors doors "$title" "$1" "$run" "$PORT" "${@:3}"
    stop_server
    zone=128m
    header_buffer=1k
}


# door_side SIDE: the load that it is
door_side() {
    local p2p=(--producers 8 --consumers 8 --window 100 --seconds "$DURATION")
    local ingest=(--producers 8 --ingest-only --messages "$INGEST")

    case $1 in
        ws) door "$1" 128m "${p2p[@]}" --confirm socket ;;
        events) door "$1" 128m "${p2p[@]}" --confirm socket --events ;;
        pull) door "$1" 128m "${p2p[@]}" --pull 100 ;;
        pull-apart) door "$1" 128m "${p2p[@]}" --pull 100 --apart ;;
        ws-ack) door "$1" 128m "${p2p[@]}" --confirm ack ;;
        events-ack) door "$1" 128m "${p2p[@]}" --confirm ack --events ;;
        ws-ingest) door "$1" 1g "${ingest[@]}" --window 100 ;;
        batch | batch-whole | batch-lines | batch-lines-whole)
            [[ $1 != *-whole ]] || header_buffer=16k
            [[ $1 != *-lines* ]] || ingest+=(--ndjson)
            door "$1" 1g "${ingest[@]}" --window 100 --batch 100
            ;;
    esac
}


# Each run has all of them, every other one in the opposite order.
row_doors() {
    local run side title="doors without a WebSocket"
    local sides="ws events pull pull-apart ws-ack events-ack"

    wanted doors "$title" || return 0
    echo "bench: doors" >&2
    sides+=" ws-ingest batch batch-whole batch-lines batch-lines-whole"

    for ((run = 1; run <= RUNS; run++)); do
        for side in ${DOORS:-$sides}; do
            door_side "$side"
        done

        # shellcheck disable=SC2086
        sides=$(printf '%s\n' $sides | tac)
    done
}


# How many consumers the queue knows.
door_consumers() {
    python3 -c '
import json, sys, urllib.request
url = f"http://127.0.0.1:{sys.argv[1]}/Console/GetOverview"
asked = urllib.request.Request(url, b"", {"secretKey": sys.argv[2]})
print(json.load(urllib.request.urlopen(asked))["data"]["Consumers"])
' "$queue_port" "$KEY"
}


# door_idle SIDE LOAD-ARGUMENT...: memory and CPU time of clients that wait
door_idle() {
    local own zone_bytes cpu result=

    start_queue
    own=$(memory Anon)
    zone_bytes=$(memory Shmem)

    if open_idlers "$IDLE" --timeout $((BEATS + 120)) "${@:2}"; then
        for _ in {1..300}; do
            [ "$(door_consumers)" = "$IDLE" ] && break
            sleep 0.1
        done

        # whoever has just come is not idle yet
        sleep 2
        own=$(($(memory Anon) - own))
        zone_bytes=$(($(memory Shmem) - zone_bytes))
        cpu=$(worker_cpu)
        sleep "$BEATS"
        cpu=$(($(worker_cpu) - cpu))

        if [ "$(door_consumers)" = "$IDLE" ]; then
            result="{\"count\": $IDLE, \"seconds\": $BEATS, "
            result+="\"cpu_ns\": $cpu, \"own\": $own, \"zone\": $zone_bytes}"
        fi
    fi

    close_idlers || result=
    [ -n "$result" ] || failed "doors-idle, $1"
    record doors-idle doors-idle "$IDLE that wait" "$1" 1 "$result"
    stop_server
}


row_doors_idle() {
    wanted doors-idle "$IDLE streams of events, $IDLE pulls that wait" ||
        return 0
    echo "bench: doors-idle" >&2
    door_idle consumer
    door_idle events --events
    door_idle pull --pull 100 --wait 60
}
