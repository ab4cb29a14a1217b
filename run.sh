#!/bin/bash
# Builds KapokMQ and runs it in the foreground, from run/ in this directory,
# with conf/nginx.conf and conf/application.yaml.  Ctrl-C stops it.
#
# The queue is there first.  The console page needs npm, which on a fresh Debian
# takes longer than all the rest: it follows.  NPM=NO: without it.
#
# --cluster: three nodes with three nats-servers, conf/cluster/run.sh.
set -eu
cd "$(dirname "$0")"
. ./packages.sh

[ -n "${NGINX_SRC:-}" ] || {
    need_packages make gcc nginx libyaml-dev libjansson-dev libjwt-dev \
        liblz4-dev libssl-dev libpcre2-dev zlib1g-dev
    need_nginx_source
}
[ "${1:-}" != --cluster ] || need_packages nats-server

# nginx's prefix: links to what it reads, and room for what it writes.  The
# lock is nginx's too, and held until the last of its processes has gone.
mkdir -p run/logs run/temp
exec {lock}> run/lock
flock -n $lock || {
    echo "KapokMQ is running from this directory already." >&2
    exit 1
}

# Each source is an object in the end; what takes long then is their link.
build_shown() {
    local pid sources objects

    make -s --no-print-directory build &
    pid=$!
    sources=$(find src ngx_*.c -name '*.c' | wc -l)

    while kill -0 $pid 2>/dev/null; do
        objects=$(find build/plain build/nginx -name '*.o' 2>/dev/null | wc -l)
        if [ "$objects" -lt "$sources" ]; then
            echo "build::$((100 * objects / sources)):$objects of $sources files"
        else
            echo 'link::100:which takes a third of all'
        fi
        sleep 0.5
    done | show_progress
    wait $pid
}

if [ -e build/ngx_kapokmq_module.so ]; then
    make -s --no-print-directory build
else
    echo "Building the module, which takes half a minute on two cores"
    build_shown
    echo "Built, after $SECONDS s"
fi

# Until the page is there, one that says so.
mkdir -p run/no-page
cat > run/no-page/index.html << 'HTML'
<!doctype html>
<meta charset="utf-8">
<meta http-equiv="refresh" content="3">
<title>KapokMQ</title>
<h1>KapokMQ is running</h1>
<p>This console page is not built yet. The terminal with <code>run.sh</code> says
how far it is; this page is replaced by it then.</p>
HTML

show_page() {
    ln -sfn ../view/dist run/view
}

# a page from elsewhere, of a package for instance, will do as well
page=built
if [ -e view/dist/index.html ] && make -q page > /dev/null 2>&1; then
    show_page
else
    page=follows
    ln -sfn no-page run/view
fi

# npm, by apt, which is not to be interrupted
need_npm() {
    local status=0

    command -v npm > /dev/null && return
    touch run/installing
    need_packages nodejs npm || status=$?
    rm -f run/installing
    return $status
}

# All it says goes to the terminal; whatever fails, the queue goes on.
build_page() {
    if need_npm; then
        [ ! -e run/ended ] || return
        if make -s --no-print-directory page; then
            show_page
            echo "The console page is there: http://$at/"
            return
        fi
    fi
    [ ! -e view/dist/index.html ] || show_page
    echo "The console page could not be built; the queue runs without it." \
        "To get it, run \"make page\" where npm can fetch packages, copy" \
        "view/dist to here, and start again." >&2
}

ln -sfn ../build run/modules
ln -sfn ../conf/nginx.conf run/nginx.conf
ln -sfn ../conf/application.yaml run/application.yaml
[ ! -e /etc/nginx/mime.types ] || ln -sfn /etc/nginx/mime.types run/mime.types
for kind in client_body proxy fastcgi uwsgi scgi; do
    echo "${kind}_temp_path temp/$kind;"
done > run/local.conf

nginx=${NGINX:-$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v nginx)}
main='daemon off; pid logs/nginx.pid; error_log logs/error.log notice;'
main+=' error_log stderr warn;'
# Workers get the rights of the owner of these files, not root's; nobody's
# when the system does not know the owner, as in a container.
owner=$(stat -c '%U %G' .)
[[ $owner != *UNKNOWN* ]] || owner='nobody nogroup'
[ "$(id -u)" != 0 ] || main+=" user $owner;"

# Each client is an open file.
ulimit -n "$(ulimit -Hn)"

rm -f run/logs/nginx.pid run/installing run/ended
ends='HUP INT TERM'

if [ "${1:-}" = --cluster ]; then
    at=127.0.0.1:8111
    [ $page = built ] || [ "${NPM:-}" = NO ] || build_page
    . conf/cluster/run.sh
    cluster
fi

# A process group of its own: Ctrl-C, or the end of the terminal, reaches this
# script alone, which then asks nginx to finish gracefully, and the second time
# at once.
set -m
"$nginx" -p "$PWD/run/" -c "$PWD/run/nginx.conf" -e logs/error.log \
    -g "$main" &
pid=$!
set +m
trap 'kill -QUIT $pid 2>/dev/null; trap "kill -TERM $pid" $ends' $ends

until [ -s run/logs/nginx.pid ]; do
    kill -0 $pid 2>/dev/null || {
        wait $pid || status=$?
        echo "KapokMQ has not started: see above, or run/logs/error.log" >&2
        exit "${status:-0}"
    }
    sleep 0.05
done

listen=$(sed -n 's/^[[:blank:]]*listen[[:blank:]]*\([^; ]*\).*/\1/p' \
    conf/nginx.conf | head -n 1)
case $listen in
    *:*) at=$listen ;;
    *)   at=127.0.0.1:$listen ;;
esac
later=
if [ $page = follows ]; then
    later='  (its page is built now; a line here will tell)'
    [ "${NPM:-}" != NO ] || {
        page=none
        later='  (without its page: NPM=NO)'
    }
fi
cat <<TXT

KapokMQ is running (errors: run/logs/error.log)

  producers   ws://$at/Producers/Conn/{topic}/{producerId}
  consumers   ws://$at/Consumers/Conn/{topic}/{consumerId}
  messages    curl -H 'secretKey: KEY' -d topic=T -d messageData=hello \\
                  http://$at/Producer/Send
  console     http://$at/$later
  settings    conf/application.yaml; a change takes  kill -HUP $pid

Ctrl-C stops it.
TXT

builder=
if [ $page = follows ]; then
    set -m
    build_page < /dev/null {lock}>&- &
    builder=$!
    set +m
fi

# A trapped signal ends wait before nginx has gone.
status=0
while kill -0 $pid 2>/dev/null; do
    wait $pid && status=0 || status=$?
done

if [ -n "$builder" ] && kill -0 $builder 2>/dev/null; then
    touch run/ended
    if [ -e run/installing ]; then
        echo "apt finishes what it has begun"
        while kill -0 $builder 2>/dev/null; do
            wait $builder || true
        done
    else
        kill -TERM -- -$builder 2>/dev/null || true
    fi
fi
exit $status
