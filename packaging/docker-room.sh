#!/bin/bash
# docker-room.sh TREE N: what packaging/docker.t does in an image's files, with
# processes, mounts and a network of its own; says TAP from N + 1 on.
set -u
tree=$1
n=$2
. packaging/tap.sh
at=http://127.0.0.1:8011

container() {    # container [NAME=VALUE...]: becomes what the image starts
    exec chroot "$tree" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@" \
        /etc/nginx/kapokmq/start
}

probed() {
    until_ok curl -sf $at/healthz
}

ended() {
    kill -QUIT $pid
    wait $pid
}

ip link set lo up
mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"

without_key() {
    (container)
}
ok 'without a key it does not start' not without_key

(container SECRET_KEY=own) > /dev/null 2>&1 &
pid=$!
ok 'with one it does' probed
ok 'a message is taken' curl -sf -H 'secretKey: own' -d topic=a \
    -d messageData=hello $at/Producer/Send
ok 'not with another key' not curl -sf -H 'secretKey: other' -d topic=a \
    -d messageData=hello $at/Producer/Send
page() {
    curl -sf $at/ | grep '<script'
}
ok 'the page is there' page
ok "the data is the workers' alone" \
    test "$(stat -c '%U %a' "$tree/var/lib/kapokmq")" = 'www-data 750'
ok 'QUIT ends it' ended

(container SECRET_KEY=other) > /dev/null 2>&1 &
pid=$!
ok 'it starts again, with another key' probed
kept() {
    curl -sf -X POST -H 'secretKey: other' $at/Console/CountMessage |
        grep '"unconsumed":1,'
}
ok 'and has the message' kept
ok 'QUIT ends it again' ended

echo "1..$n"
