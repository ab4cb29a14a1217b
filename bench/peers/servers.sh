# shellcheck shell=bash disable=SC2153

# Sourced by peers.sh and check_peers.t: how each server is started, at its best
# for this load and with nothing on disk, and how it is ended.
#
# They set SERVER_CPU, IDLE (connections), NGINX, PORT and DIR, which is wiped.

NCHAN=${NCHAN:-/usr/lib/nginx/modules/ngx_nchan_module.so}

declare -A PACKAGE=(
    [nats]=nats-server [jetstream]=nats-server [redis]=redis-server
    [beanstalkd]=beanstalkd [nchan]=libnginx-mod-nchan
    [mosquitto]=mosquitto [mosquitto_ws]=mosquitto
)

server=             # pid of the server
watch=              # pid whose CPU time and memory count
port=$PORT          # of the server


has_package() {
    dpkg-query -W -f '${Status}' "${PACKAGE[$1]}" 2> /dev/null \
        | grep -q ' installed$'
}


listens() {
    (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null
}


# launch COMMAND...: as the server, with its core
launch() {
    taskset -c "$SERVER_CPU" "$@" > "$DIR/log" 2>&1 &
    server=$!
    watch=$server
}


# start SERVER: a fresh one, on a port that no one has
start() {
    port=$((port + 1))

    while listens "$port"; do
        port=$((port + 1))
    done

    rm -rf "$DIR"
    mkdir -p "$DIR"
    "start_$1"

    for _ in {1..200}; do
        listens "$port" && return
        kill -0 "$server" 2> /dev/null || break
        sleep 0.05
    done

    sed 's/^/# /' "$DIR/log" >&2
    return 1
}


stop_server() {
    [ -n "$server" ] || return 0
    kill "$server" 2> /dev/null

    for _ in {1..100}; do
        kill -0 "$server" 2> /dev/null || break
        sleep 0.05
    done

    kill -KILL "$server" 2> /dev/null
    wait "$server" 2> /dev/null
    server=
}


start_nats() {
    launch nats-server -a 127.0.0.1 -p "$port"
}


start_jetstream() {
    launch nats-server -a 127.0.0.1 -p "$port" -js -sd "$DIR"
}


# No one who reads slowly is sent away.
start_redis() {
    launch redis-server --bind 127.0.0.1 --port "$port" --dir "$DIR" \
        --save '' --appendonly no --maxclients $((IDLE + 1000)) \
        --client-output-buffer-limit 'pubsub 0 0 0'
}


start_beanstalkd() {
    launch beanstalkd -l 127.0.0.1 -p "$port"
}


# start_mosquitto [PROTOCOL]: no limit to what waits for a client; the listener
# without a port is there because one for WebSocket alone is not enough
start_mosquitto() {
    cat > "$DIR/mosquitto.conf" << END
listener 0 $DIR/socket
listener $port 127.0.0.1
protocol ${1:-mqtt}
user $(id -un)
allow_anonymous true
persistence false
log_type error
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
END
    launch mosquitto -c "$DIR/mosquitto.conf"
}


start_mosquitto_ws() {
    start_mosquitto websockets
}


# The channel keeps its last 1,000 messages; one who subscribes gets new ones.
start_nchan() {
    mkdir -p "$DIR/temp"
    cat > "$DIR/nginx.conf" << END
load_module $NCHAN;
daemon off;
pid $DIR/nginx.pid;
error_log $DIR/error.log error;
worker_rlimit_nofile $(ulimit -Hn);
events {
    worker_connections $((IDLE + 1000));
}
http {
    access_log off;
    keepalive_requests 1000000000;
    client_header_buffer_size 32k;
    client_body_temp_path $DIR/temp;
    proxy_temp_path $DIR/temp;
    fastcgi_temp_path $DIR/temp;
    uwsgi_temp_path $DIR/temp;
    scgi_temp_path $DIR/temp;
    nchan_shared_memory_size 256m;
    nchan_message_buffer_length 1000;
    server {
        listen 127.0.0.1:$port backlog=4096;
        location = /pub {
            nchan_publisher;
            nchan_channel_id q;
        }
        location = /sub {
            nchan_subscriber websocket;
            nchan_subscriber_first_message newest;
            nchan_channel_id q;
        }
    }
}
END
    launch "$NGINX" -p "$DIR" -c "$DIR/nginx.conf"

    for _ in {1..200}; do
        watch=$(tr -d ' ' < "/proc/$server/task/$server/children")
        [ -z "$watch" ] || return
        sleep 0.05
    done
}
