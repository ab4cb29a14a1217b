# Floor and queue: start, end, what they complain about.

# Ends a process that this script has started, and waits for it.
end_process() {
    kill -"$1" "$2" 2> /dev/null
    wait "$2" 2> /dev/null
}


stop_server() {
    [ -z "$server" ] || end_process TERM "$server"
    server=
}


wait_for_port() {
    for _ in {1..200}; do
        if (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; then
            return 0
        fi

        kill -0 "$server" 2> /dev/null || return 1
        sleep 0.05
    done

    return 1
}


# start_floor ARGUMENT...
start_floor() {
    taskset -c "$SERVER_CPU" "${launch[@]}" "$OUT/kmq-floor" \
        --port "$FLOOR_PORT" --key "$KEY" --seconds 120 "$@" &
    server=$!
    watch=$server
    wait_for_port "$FLOOR_PORT" || die "the floor does not start"
}


write_nginx_conf() {
    local reuseport='' files=''

    # under valgrind there are a few less; what this script has is inherited

    [ "${launch[0]:-}" = valgrind ] ||
        files="worker_rlimit_nofile $(ulimit -Hn);"

    [ "$workers" = 1 ] || reuseport=" reuseport"

    cat > "$PREFIX/nginx.conf" << END
load_module $MODULE;
$directives
daemon off;
worker_processes $workers;
pid $PREFIX/nginx.pid;
error_log $PREFIX/error.log notice;
$files
events {
    worker_connections $((IDLE * 2 + 1000));
}
http {
    access_log off;
    keepalive_requests 1000000000;
    client_header_buffer_size $header_buffer;
    client_body_temp_path $PREFIX/temp;
    proxy_temp_path $PREFIX/temp;
    fastcgi_temp_path $PREFIX/temp;
    uwsgi_temp_path $PREFIX/temp;
    scgi_temp_path $PREFIX/temp;
    kapokmq_zone $zone;
    kapokmq_config $PREFIX/application.yaml;
    $http
    server {
        listen 127.0.0.1:$PORT backlog=4096$reuseport;
        $listens
        location /Producers/Conn/ { kapokmq_producer; }
        location /Consumers/Conn/ { kapokmq_consumer; }
        location = /Producer/Send {
            kapokmq_send;
            client_max_body_size 16m;
        }
        location /Consumers/Events/ { kapokmq_events; }
        location /Consumers/Pull/ { kapokmq_pull; }
        location = /Consumers/Settle { kapokmq_settle; }
        location /Console/ { kapokmq_console; }
        location / { root $PWD/view/dist; include /etc/nginx/mime[.]types; }
    }
}
END
}


# start_queue "key: value" ...: keys of application.yaml
start_queue() {
    local pids=()

    {
        echo "mq:"
        printf '  %s\n' "secretKey: $KEY" "pushMessagesSpeed: 0" \
            "isPersistent: $persistent" "messageChanBuffer: $buffer" "$@"
    } > "$PREFIX/application.yaml"

    rm -rf "$PREFIX/MQDATA"

    write_nginx_conf
    : > "$PREFIX/error.log"

    taskset -c "$SERVER_CPU" "${launch[@]}" "$NGINX" -p "$PREFIX" \
        -c "$PREFIX/nginx.conf" 2> "$PREFIX/start.log" &
    server=$!

    wait_for_port "$PORT" || {
        cat "$PREFIX/start.log" "$PREFIX/error.log" >&2
        die "nginx does not start"
    }

    # the master listens before it has workers

    for _ in {1..200}; do
        read -ra pids < "/proc/$server/task/$server/children"
        watch=$(IFS=,; echo "${pids[*]}")
        [ "${#pids[@]}" -lt "$workers" ] || return
        sleep 0.05
    done

    die "nginx has no workers"
}


# What nginx had to complain about is part of a run's result.
queue_complaint() {
    grep -m1 -E '\[(error|crit|alert|emerg)\]' "$PREFIX/error.log"
}
