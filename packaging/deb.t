#!/bin/bash
# The package in a fresh Debian: installed, used, nginx upgraded under it by
# Debian's own scripts, upgraded itself, removed, purged.  As root, after "make
# deb"; with debootstrap and lintian.
#
# DEB_ROOT=DIR: where the fresh Debian is kept for the next run, build/deb-root.
# All of nginx runs in namespaces of its own and is gone at the end.
set -u
cd "$(dirname "$0")/.."

. packaging/tap.sh
needs debootstrap lintian

root=$(realpath -m "${DEB_ROOT:-build/deb-root}")
deb=$(ls build/deb/libnginx-mod-http-kapokmq_*.deb 2>/dev/null |
    grep -v dbgsym | head -n 1)
[ -n "$deb" ] || { echo "Bail out! no package: make deb"; exit 1; }

# The fresh Debian: nginx as the release came with, and in apt's cache what an
# upgrade will want.
fresh() {
    [ ! -e "$root/ready" ] || return 0
    fresh_debian "$root/debian" || return
    printf '#!/bin/sh\nexit 101\n' > "$root/debian/usr/sbin/policy-rc.d"
    chmod +x "$root/debian/usr/sbin/policy-rc.d"
    cp /etc/resolv.conf "$root/debian/etc/"
    {
        echo "deb $mirror bookworm main"
        echo "deb $security bookworm-security main"
    } > "$root/debian/etc/apt/sources.list"
    chroot "$root/debian" sh -ec '
        export DEBIAN_FRONTEND=noninteractive LC_ALL=C
        apt-get update
        old=$(apt-cache madison nginx | awk "{ print \$3 }" | sort -V | head -n 1)
        apt-get install -y --no-install-recommends nginx=$old \
            nginx-common=$old curl procps logrotate libyaml-0-2 libjansson4 liblz4-1 \
            libjwt0 libssl3 iproute2 systemd systemd-sysv dbus
        apt-get install -y --no-install-recommends --download-only \
            --reinstall nginx nginx-common' || return

    # without an init system invoke-rc.d asks this one whether it may
    printf '#!/bin/sh\nexit 0\n' > "$root/debian/usr/sbin/policy-rc.d"
    touch "$root/ready"
}

ok 'lintian has nothing to say' sh -c \
    "out=\$(lintian --allow-root --fail-on error,warning $deb) && [ -z \"\$out\" ] || {
        echo \"\$out\"; exit 1; }"
versions() {
    dpkg-deb -f "$deb" Version | grep -qxF "$(sed -n \
        's/^#define NGX_KAPOKMQ_VERSION  "\(.*\)"/\1/p' \
        src/server/ngx_kapokmq.h)"
}
ok "its version is the module's" versions

# What links of its documents lead to and is not there, but for what is the
# sources' alone.  The clients are seen where the other documents have them.
dead_links() {
    local file link to

    find -L "$1" -path "$1/examples/clients" -prune -o -name '*.md*' -print |
    while IFS= read -r file; do
        zcat -f "$file" | grep -oP '\]\(\K[^)#\s:]+(?=[)#])' |
        while IFS= read -r link; do
            to=$(realpath -sm "$(dirname "$file")/$link")
            case ${to#"$1"/} in
                src/* | bench/* | LICENSE) continue ;;
            esac
            [ -e "$to" ] || [ -e "$to.gz" ] || echo "${file#"$1"/}: $link"
        done
    done
}

documents() {
    local doc=$unpacked/usr/share/doc/libnginx-mod-http-kapokmq dead

    dead=$(dead_links "$doc") && [ -z "$dead" ] || { echo "$dead"; return 1; }
}

# as they are, for whoever copies them
examples() {
    local doc=$unpacked/usr/share/doc/libnginx-mod-http-kapokmq/examples

    diff -r clients "$doc/clients" && diff -r conf "$doc/conf" &&
        diff -r -x clients -x conf examples "$doc"
}

unpacked=$(mktemp -d)
trap 'rm -rf "$log" "$unpacked"' EXIT
dpkg-deb -x "$deb" "$unpacked"
ok 'what its documents lead to is there' documents
ok 'the examples and clients are, too' examples
ok 'a fresh Debian' fresh
[ -e "$root/ready" ] || { echo "1..$n"; exit 1; }

# The same package, called newer: what an upgrade is.
newer() {
    local tree

    tree=$(mktemp -d) && dpkg-deb -R "$deb" "$tree" &&
    sed -i 's/^Version: .*/&+newer/' "$tree/DEBIAN/control" &&
    dpkg-deb --root-owner-group -b "$tree" "$root/newer.deb" && rm -rf "$tree"
}
ok 'a newer package' newer

cp "$deb" "$root/older.deb"

# once with Debian's init scripts alone, and once with systemd
cp packaging/deb-inside.sh packaging/deb-room.sh packaging/tap.sh "$root/"

room() {
    : > "$root/out"
    timeout -s KILL 600 unshare --mount --pid --net --uts --ipc --cgroup --fork \
        --kill-child bash "$root/deb-room.sh" "$root" "$@"
}

# Lines of TAP that others have counted from 1.
counted() {
    local line whole=

    while IFS= read -r line; do
        case $line in
            1..*) whole=yes ;;
            'ok '* | 'not ok '*)
                n=$((n + 1))
                echo "${line%%ok *}ok $n -$1${line#* -}" ;;
            *) echo "$line" ;;
        esac
    done < "$root/out"
    [ -n "$whole" ] || {
        n=$((n + 1))
        echo "not ok $n -$1 it did not come to its end"
    }
}

room scripts > "$root/out" 2>&1
counted ' scripts:'

# cgroups of its own, which are the tree of the systemd in there
groups=()
for tree in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
    [ -e "$tree/cgroup.procs" ] || continue
    mkdir "$tree/kapokmq-deb-$$" 2>/dev/null && groups+=("$tree/kapokmq-deb-$$")
done

if [ ${#groups[@]} -gt 0 ]; then
    (
        for group in "${groups[@]}"; do
            echo "$BASHPID" > "$group/cgroup.procs" || exit
        done
        room systemd
    ) > "$log" 2>&1
    for group in "${groups[@]}"; do
        find "$group" -depth -type d -exec rmdir {} +
    done
    sed 's/^/# /' "$log"
    counted ' systemd:'
else
    n=$((n + 1))
    echo "ok $n - systemd # SKIP no cgroups here"
fi

echo "1..$n"
