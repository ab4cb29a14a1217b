#!/bin/bash
# ./run.sh in a fresh Debian: it installs what it needs, the queue is there, and
# then its page.  How long each took is told, not judged: other work on the
# machine counts.  As root, with debootstrap and curl; apt and npm of the network
# are used.
#
# FRESH_ROOT=DIR: where the fresh Debian is, build/fresh-root.
set -u
cd "$(dirname "$0")/.."
. packaging/tap.sh
needs debootstrap curl

root=$(realpath -m "${FRESH_ROOT:-build/fresh-root}")
ok 'a fresh Debian' fresh_debian "$root/debian"

# what git knows, on a port that is nobody's
port=$((20000 + $$ % 10000))
rm -rf "$root/checkout"
mkdir -p "$root/checkout"
git ls-files -z -co --exclude-standard |
    xargs -0 cp -P --parents -t "$root/checkout"
sed -i "s/8011/$port/" "$root/checkout/conf/nginx.conf"

said=$root/said
: > "$said"
export root
unshare --mount --pid --fork --kill-child bash -ec '
    . packaging/tap.sh
    cd "$root"
    room_of debian
    mount --rbind /dev room/all/dev
    cp /etc/resolv.conf room/all/etc/
    # what this machine has npm trust
    if [ -n "${NODE_EXTRA_CA_CERTS:-}" ]; then
        cp -L "$NODE_EXTRA_CA_CERTS" room/all/trusted.crt
        export NODE_EXTRA_CA_CERTS=/trusted.crt
    fi
    cp -r checkout room/all/checkout
    printf "#!/bin/sh\nexit 101\n" > room/all/usr/sbin/policy-rc.d
    chmod +x room/all/usr/sbin/policy-rc.d
    exec chroot room/all /checkout/run.sh
' > "$said" 2>&1 < /dev/null &
pid=$!
trap 'kill -KILL $pid 2>/dev/null; rm -f "$log"' EXIT

said_within() {  # said_within SECONDS TEXT
    local i
    for ((i = 0; i < $1; i++)); do
        grep -q "$2" "$said" && return
        kill -0 $pid 2>/dev/null || break
        ! grep -q 'could not be built' "$said" || break
        sleep 1
    done
    cat "$said"
    return 1
}

ok 'the queue runs' said_within 900 '^KapokMQ is running'
echo "# after $SECONDS s, with a load of $(cut -d ' ' -f 1 /proc/loadavg)"
ok 'what it does was shown' grep -q 'Installing: ' "$said"
ok 'and how far its build was' grep -q 'Compiling: ' "$said"
ok 'a message is taken' curl -sf -H 'secretKey: test' -d topic=news \
    -d messageData=hello "http://127.0.0.1:$port/Producer/Send"
page() {
    curl -sf "http://127.0.0.1:$port/" | grep '<script'
}
if grep -q 'its page is built now' "$said"; then
    ok 'its page follows' said_within 900 '^The console page is there'
    echo "# after $SECONDS s"
fi
ok 'and is served' page
sed 's/^/# /' "$said"

echo "1..$n"
