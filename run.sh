#!/bin/bash
# Builds KapokMQ and runs it in the foreground, from run/ in this directory,
# with conf/nginx.conf and conf/application.yaml.  Ctrl-C stops it.
set -eu
cd "$(dirname "$0")"
. ./packages.sh

need_packages make gcc nginx nginx-dev libyaml-dev libjansson-dev \
    libjwt-dev libssl-dev
command -v npm > /dev/null || need_packages nodejs npm

# nginx's prefix: links to what it reads, and room for what it writes.  The
# lock is nginx's too, and held until the last of its processes has gone.
mkdir -p run/logs run/temp
exec {lock}> run/lock
flock -n $lock || {
    echo "KapokMQ is running from this directory already." >&2
    exit 1
}

make -s --no-print-directory -j"$(nproc)" build page

ln -sfn ../build run/modules
ln -sfn ../view/dist run/view
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

rm -f run/logs/nginx.pid

# A process group of its own: Ctrl-C, or the end of the terminal, reaches this
# script alone, which then asks nginx to finish gracefully, and the second time
# at once.
set -m
"$nginx" -p "$PWD/run/" -c "$PWD/run/nginx.conf" -e logs/error.log \
    -g "$main" &
pid=$!
set +m
ends='HUP INT TERM'
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
cat <<TXT

KapokMQ is running (settings: conf/application.yaml; errors: run/logs/error.log)

  producers   ws://$at/Producers/Conn/{topic}/{producerId}
  consumers   ws://$at/Consumers/Conn/{topic}/{consumerId}
  messages    curl -H 'secretKey: KEY' -d topic=T -d messageData=hello \\
                  http://$at/Producer/Send
  console     http://$at/

Ctrl-C stops it.
TXT

# A trapped signal ends wait before nginx has gone.
status=0
while kill -0 $pid 2>/dev/null; do
    wait $pid && status=0 || status=$?
done
exit $status
