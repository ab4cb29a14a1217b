# Sourced by run.sh and test.sh: installs what is missing.

# need_packages NAME...: Debian packages; asks apt only for those missing.
need_packages() {
    local name missing=() root=()

    for name; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null |
            grep -q ' installed$' || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    if [ "$(id -u)" != 0 ]; then
        if ! sudo -n true 2>/dev/null && ! { [ -t 0 ] && sudo -v; }; then
            echo "Packages are missing. As root:" >&2
            echo "    apt-get install -y ${missing[*]}" >&2
            exit 1
        fi
        root=(sudo)
    fi

    echo "Installing ${missing[*]}"
    root+=(env DEBIAN_FRONTEND=noninteractive apt-get -y -qq
           -o Dpkg::Use-Pty=0)
    "${root[@]}" update
    "${root[@]}" install --no-install-recommends "${missing[@]}"
}
