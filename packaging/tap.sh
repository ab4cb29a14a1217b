# Sourced by the tests of packaging/: TAP, from $n + 1 on.

log=$(mktemp)
n=${n:-0}
trap 'rm -f "$log"' EXIT

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

not() {
    ! "$@"
}

until_ok() {     # waits for a condition
    local i
    for i in {1..300}; do
        "$@" && return
        sleep 0.1
    done
    return 1
}

# needs TOOL...: as root, with these
needs() {
    local tool

    [ "$(id -u)" = 0 ] || { echo "1..0 # SKIP not root"; exit 0; }
    for tool; do
        command -v "$tool" > /dev/null || {
            echo "Bail out! apt-get install $tool"; exit 1; }
    done
}

mirror=${DEB_MIRROR:-http://deb.debian.org/debian}
security=${DEB_SECURITY:-http://deb.debian.org/debian-security}

# fresh_debian DIR: made when it is not there
fresh_debian() {
    [ ! -e "$1.ready" ] || return 0
    rm -rf "$1"
    mkdir -p "$1"
    debootstrap --variant=minbase bookworm "$1" "$mirror" && touch "$1.ready"
}

# room_of DIR: room/all is DIR, with changes that are lost; in a mount namespace
room_of() {
    mkdir -p room
    mount -t tmpfs tmpfs room
    mkdir room/upper room/work room/all
    mount -t overlay -o "lowerdir=$1,upperdir=room/upper,workdir=room/work" \
        overlay room/all
    mount -t proc proc room/all/proc
}
