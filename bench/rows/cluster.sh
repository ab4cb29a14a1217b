# Rows cluster-1, cluster-2: a queue of three nodes with three nats-servers, all of them on
# this machine, beside the same queue alone.

nats=()             # pids of the nats-servers
nodes=()            # of the nodes' masters
node_workers=()     # of each node, as in watch


stop_cluster() {
    local pid

    for pid in "${nodes[@]}" "${nats[@]}"; do
        end_process TERM "$pid"
    done

    nodes=()
    nats=()
    node_workers=()
}


# Their addresses, from that port on, separated by commas.
nats_at() {
    local n list=

    for n in 1 2 3; do
        list+=,nats://127.0.0.1:$((PORT + $1 + n))
    done

    echo "${list#,}"
}


start_nats() {
    local n dir

    for n in 1 2 3; do
        dir=$OUT/nats/n$n
        rm -rf "$dir"
        mkdir -p "$dir"

        cat > "$dir.conf" << END
server_name: n$n
listen: 127.0.0.1:$((PORT + 10 + n))
jetstream { store_dir: "$dir", max_file: 8G }
cluster {
    name: bench
    listen: 127.0.0.1:$((PORT + 20 + n))
    routes: [ $(nats_at 20) ]
}
END

        "$NATS" -c "$dir.conf" -l "$dir.log" &
        nats+=("$!")
    done
}


# start_node NUMBER
start_node() {
    local http PREFIX=$OUT/nodes/n$1 at=127.0.0.1:$((PORT + 30 + $1))

    http="kapokmq_cluster $(nats_at 10) name=bench node=n$1
        address=$at secret=of-the-benchmark timeout=3s;"
    mkdir -p "$PREFIX"
    PORT=${at#*:} start_queue
    nodes+=("$server")
    node_workers+=("$watch")
    server=
}


# Is it the node on that port that serves?
is_primary() {
    (
        exec 3<> "/dev/tcp/127.0.0.1/$1"
        printf 'POST /Console/Ping HTTP/1.0\r\nsecretKey: %s\r\n\r\n' \
            "$KEY" >&3
        head -n 1 <&3
    ) 2> /dev/null | grep -q '^HTTP/1.. 200 '
}


# Sets $primary to the number of the node that is, from 0 on.
start_cluster() {
    local n

    start_nats
    for n in 1 2 3; do
        start_node "$n"
    done

    for _ in {1..600}; do
        for primary in 0 1 2; do
            is_primary $((PORT + 31 + primary)) && return
        done
        sleep 0.1
    done

    die "no node is primary: $(tail -n 3 "$OUT"/nodes/*/error.log)"
}


# ns of CPU time that these processes, and their children, have had
cpu_of() {
    local pid children all=()

    for pid in "$@"; do
        read -ra children < "/proc/$pid/task/$pid/children"
        all+=("$pid" "${children[@]}")
    done

    for pid in "${all[@]}"; do
        cat "/proc/$pid/stat"
    done | awk -v hz="$(getconf CLK_TCK)" '{ sum += $14 + $15 }
        END { printf "%.0f\n", sum * 1e9 / hz }'
}


# cluster_load ROW TITLE RUN LOAD-ARGUMENT...: a run at the primary
cluster_load() {
    local result complaint before standbys PREFIX=$OUT/nodes/n$((primary + 1))

    watch=${node_workers[primary]}
    standbys=("${nodes[@]}")
    unset "standbys[primary]"

    # before there is a primary they complain about that
    : > "$PREFIX/error.log"

    PORT=$((PORT + 31 + primary)) warm_queue
    before=("$(cpu_of "${nats[@]}")" "$(cpu_of "${standbys[@]}")")
    result=$(load $((PORT + 31 + primary)) "${@:4}" 2> "$OUT/load.log") ||
        failed "$1, queue, run $3"
    result=${result:+${result%\}}, \"nats_ns\": $(($(cpu_of \
        "${nats[@]}") - before[0])), \"standbys_ns\": $(($(cpu_of \
        "${standbys[@]}") - before[1]))\}}

    if complaint=$(queue_complaint); then
        failures=$((failures + 1))
        echo "bench: $1, run $3: $complaint" >&2
        result=
    fi

    record "$1" cluster "$2" queue "$3" "$result"
}


# cluster_row NAME TITLE MODE LOAD-ARGUMENT...: no process has a core of its own,
# on either side, since those of a cluster share them all
cluster_row() {
    local run side sides SERVER_CPU LOAD_CPU

    SERVER_CPU=0-$(($(nproc) - 1))
    LOAD_CPU=$SERVER_CPU

    for ((run = 1; run <= RUNS; run++)); do
        sides="base queue"
        [ $((run % 2)) = 1 ] || sides="queue base"
        persistent=$3

        for side in $sides; do
            if [ "$side" = base ]; then
                start_queue
                warm_queue
                measure "$1" cluster "$2" base "$run" "$PORT" "${@:4}"
                stop_server
            else
                start_cluster
                cluster_load "$1" "$2" "$run" "${@:4}"
                stop_cluster
            fi
        done
    done

    persistent=0
}


# cluster_rows MODE
cluster_rows() {
    local title="isPersistent: $1" window

    wanted "cluster-$1" "$title on three nodes, beside one alone" || return 0

    if ! command -v "$NATS" > /dev/null; then
        echo "bench: cluster-$1 left out: there is no $NATS" >&2
        return 0
    fi

    echo "bench: cluster-$1" >&2

    for window in 1000 100; do
        cluster_row "cluster-$1-$window" "$title, 8 and 8, window $window" \
            "$1" --answers --producers 8 --consumers 8 --window "$window" \
            --seconds "$DURATION"
    done

    cluster_row "cluster-$1-one" "$title, one at a time" "$1" \
        --answers --producers 1 --consumers 1 --window 1 \
        --seconds "$DURATION"
}


row_cluster() {
    cluster_rows 1
    cluster_rows 2
}
