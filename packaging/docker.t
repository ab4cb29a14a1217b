#!/bin/bash
# The image of packaging/docker, built by buildah from a fresh Debian, and nginx
# in it.  As root, after "make deb"; with debootstrap, buildah and curl.
#
# FRESH_ROOT=DIR: where the fresh Debian and the images are, build/fresh-root.
set -u
cd "$(dirname "$0")/.."

. packaging/tap.sh
needs debootstrap buildah curl

root=$(realpath -m "${FRESH_ROOT:-build/fresh-root}")
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot

images() {
    buildah --root "$root/images" --runroot "$root/run" "$@"
}

fresh() {
    local it

    fresh_debian "$root/debian" || return
    it=$(images from scratch) && images add -q "$it" "$root/debian/." / &&
        images commit -q "$it" fresh-debian && images rm "$it"
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
