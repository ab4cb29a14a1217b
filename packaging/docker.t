#!/bin/bash
# The image of packaging/docker, built by buildah from a fresh Debian, and nginx
# in it.  As root, after "make deb"; with debootstrap, buildah and curl.
#
# DOCKER_ROOT=DIR: where the fresh Debian and the images are, build/docker-root.
set -u
cd "$(dirname "$0")/.."

root=$(realpath -m "${DOCKER_ROOT:-build/docker-root}")
mirror=${DEB_MIRROR:-http://deb.debian.org/debian}
n=0

ok() {           # ok NAME COMMAND...
    local name=$1
    shift
    n=$((n + 1))
    if "$@" > "$log" 2>&1; then
        echo "ok $n - $name"
    else
        echo "not ok $n - $name"
        tail -n 40 "$log" | sed 's/^/# /'
    fi
}

[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP not root"; exit 0; }
for tool in debootstrap buildah curl; do
    command -v $tool > /dev/null || {
        echo "Bail out! apt-get install $tool"; exit 1; }
done

log=$(mktemp)
trap 'rm -f "$log"' EXIT
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot

images() {
    buildah --root "$root/images" --runroot "$root/run" "$@"
}

fresh() {
    local it

    [ ! -e "$root/ready" ] || return 0
    mkdir -p "$root"
    [ -e "$root/debian/bin" ] ||
        debootstrap --variant=minbase bookworm "$root/debian" "$mirror" || return
    it=$(images from scratch) && images add -q "$it" "$root/debian" / &&
        images commit -q "$it" fresh-debian && images rm "$it" &&
        touch "$root/ready"
}

built() {
    images bud --network host --build-arg BASE=localhost/fresh-debian \
        -t kapokmq -f packaging/docker/Dockerfile .
}

ok 'a fresh Debian' fresh
ok 'the image is built' built
it=$(images from localhost/kapokmq) && tree=$(images mount "$it") || {
    echo "1..$n"; exit 1; }

unshare --mount --pid --net --fork --kill-child bash packaging/docker-room.sh \
    "$tree" "$n"
images umount "$it" > /dev/null
images rm "$it" > /dev/null
