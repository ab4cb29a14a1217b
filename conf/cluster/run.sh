# ./run.sh --cluster: three nats-servers and three nginx of this checkout, on
# loopback ports, from run/cluster.  Sourced by run.sh.

nodes='1 2 3'

# A file of conf/cluster for node $1: its addresses are ports of this machine.
node_conf() {
    sed -e "s/ n1\b/ n$1/; s/node=n1/node=n$1/" \
        -e "/this node/s/10\.0\.0\.1:8012/127.0.0.1:81${1}2/" \
        -e "s/listen 10\.0\.0\.1:8012/listen 127.0.0.1:81${1}2/" \
        -e "s/listen 8011/listen 127.0.0.1:81${1}1/" \
        -e "/^ *listen: /s/10\.0\.0\.1:\([46]\)222/127.0.0.1:1\1${1}22/" \
        -e '/^ *nats:/s/10\.0\.0\.'"$1"':/SELF:/; /SELF:/d' \
        -e 's/10\.0\.0\.\([123]\):\([46]\)222/127.0.0.1:1\2\122/g' \
        -e "s,/var/lib/nats,$PWD/run/cluster/n$1/nats," \
        "conf/cluster/$2" > "run/cluster/n$1/$2"
}

node_files() {
    local dir=run/cluster/n$1 kind

    mkdir -p "$dir/logs" "$dir/temp"
    node_conf "$1" nginx.conf
    node_conf "$1" nats-server.conf
    cp conf/cluster/kapokmq_primary.conf "$dir/"
    sed 's/isPersistent: *[0-9]/isPersistent: 2/; /^ *port: /d' \
        conf/application.yaml \
        > "$dir/application.yaml"
    ln -sfn ../../../build "$dir/modules"
    ln -sfn ../../view "$dir/view"
    [ ! -e /etc/nginx/mime.types ] || ln -sfn /etc/nginx/mime.types "$dir/"
    for kind in client_body proxy fastcgi uwsgi scgi; do
        echo "${kind}_temp_path temp/$kind;"
    done > "$dir/local.conf"
    rm -f "$dir/logs/nginx.pid"
}

cluster_stop() {
    trap '' $ends
    [ -z "$nginxes" ] || kill -QUIT $nginxes 2> /dev/null || true
    [ -z "$nginxes" ] || wait $nginxes || true
    [ -z "$servers" ] || kill -TERM $servers 2> /dev/null || true
    wait
    exit 0
}

cluster() {
    local i dir server
    nginxes=
    servers=

    server=$(PATH=$PATH:/usr/sbin command -v nats-server)
    for i in $nodes; do node_files $i; done

    # process groups of their own, as above
    set -m
    for i in $nodes; do
        dir=run/cluster/n$i
        "$server" -c "$dir/nats-server.conf" > "$dir/logs/nats.log" 2>&1 &
        servers="$servers $!"
        eval "nats_$i=$!"
    done
    trap cluster_stop $ends
    for i in $nodes; do
        dir=run/cluster/n$i
        "$nginx" -p "$PWD/$dir/" -c "$PWD/$dir/nginx.conf" -e logs/error.log \
            -g "${main/stderr warn/stderr crit}" &
        nginxes="$nginxes $!"
        eval "nginx_$i=$!"
    done
    set +m

    for i in $nodes; do
        until [ -s run/cluster/n$i/logs/nginx.pid ]; do
            eval "kill -0 \$nginx_$i \$nats_$i" 2> /dev/null || {
                echo "n$i has not started: see run/cluster/n$i/logs/" >&2
                cluster_stop
            }
            sleep 0.05
        done
    done

    echo
    echo "Three nodes are one queue (run/cluster/n1 to n3; errors: logs/ there)"
    echo
    for i in $nodes; do
        eval "echo \"  n$i   console http://127.0.0.1:81${i}1/   nginx \$nginx_$i, nats-server \$nats_$i\""
    done
    cat <<'TXT'

Clients may come to any of them, by the addresses that ./run.sh without --cluster
tells. Who is primary, and whom to kill to see another one take over:

  curl -sX POST -H 'secretKey: test' http://127.0.0.1:8111/Console/GetNodes
TXT
    for i in $nodes; do
        eval "echo \"  kill -KILL -\$nginx_$i    # if n$i is primary; and -\$nats_$i for the whole machine\""
    done
    echo
    echo 'Ctrl-C stops all of it.'

    while :; do
        wait || true
        sleep 1
    done
}
