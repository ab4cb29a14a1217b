# Sourced by run.sh and test.sh: installs what is missing, and shows how far that,
# or a build, is.

# missing_packages NAME...: those that are not installed
missing_packages() {
    local name

    for name; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null |
            grep -q ' installed$' || echo "$name"
    done
}

# An account of what is done, "dlstatus:WHAT:PERCENT:WORDS" while apt fetches,
# "pmstatus:…" while it installs, "build:…" and "link:…" of compilers: one line that
# changes on a terminal, and one for each quarter elsewhere.
show_progress() {
    local kind what percent words part quarter shown='' told=0

    while IFS=: read -r kind what percent words; do
        case $kind in
            dlstatus) kind=Fetching ;;
            pmstatus) kind=Installing ;;
            build) kind=Compiling ;;
            link) kind=Linking ;;
            *) continue ;;
        esac
        percent=${percent%%.*}
        quarter=$kind$((percent / 25))
        part=": $percent %"
        [ "$kind" != Linking ] || part=

        if [ -t 1 ]; then
            printf '\r\033[K  %s%s, %s' "$kind" "$part" "${words:0:50}"
            told=1
        elif [ "$quarter" != "$shown" ]; then
            printf '  %s%s, after %d s\n' "$kind" "$part" $SECONDS
        fi
        shown=$quarter
    done
    [ $told = 0 ] || printf '\r\033[K'
}

# need_packages NAME...: Debian packages; asks apt only for those missing.
need_packages() {
    local missing root=() log status

    mapfile -t missing < <(missing_packages "$@")
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
    mkdir -p build
    log=build/apt.log
    # packages' scripts do not like it when their output has to wait for a pipe
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C sh -c '
        exec 9>&1 > "$0" 2>&1
        apt-get -q update &&
        apt-get -y -q -o Dpkg::Use-Pty=0 -o APT::Status-Fd=9 install \
            --no-install-recommends "$@"
        ' "$log" "${missing[@]}" < /dev/null | show_progress
    status=${PIPESTATUS[0]}

    [ "$status" = 0 ] || tail -n 20 "$log" >&2
    return "$status"
}

# need_nginx_source: what of Debian's nginx-dev a module is built with, into
# NGINX_SRC, unless it is installed.  The package itself would bring 120 others.
need_nginx_source() {
    local version dir

    [ ! -e /usr/share/nginx/src/configure ] || return 0

    version=$(dpkg-query -W -f '${Version}' nginx)
    dir=build/nginx-dev/${version//[^0-9A-Za-z.-]/-}
    export NGINX_SRC=$dir/usr/share/nginx/src
    [ ! -e "$NGINX_SRC/configure" ] || return 0

    echo "Fetching the headers of nginx $version"
    mkdir -p "$dir.new" &&
    (cd "$dir.new" && apt-get -qq -o APT::Sandbox::User= download "nginx-dev=$version" &&
     dpkg-deb -x nginx-dev_*.deb . && rm nginx-dev_*.deb) &&
    rm -rf "$dir" && mv "$dir.new" "$dir"
}

# newer_nats: the nats-server of Debian 13 into NEWER_NATS, beside the one that is
# installed; it runs on 12 as well.
newer_nats() {
    local dir=$PWD/build/nats-server uri apt

    NEWER_NATS=$dir/usr/sbin/nats-server
    [ ! -x "$NEWER_NATS" ] || return 0

    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
        'Label: Debian' | head -n 1)
    [ -n "$uri" ] || return 1
    echo "Fetching the nats-server of Debian 13"
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
    echo "deb $uri trixie main" > "$dir/sources.list"
    apt=(apt-get -qq -o APT::Sandbox::User= -o Acquire::Languages=none
        -o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=-
        -o Dir::State::Lists="$dir/lists" -o Dir::Cache="$dir/cache")
    (cd "$dir" && "${apt[@]}" update && "${apt[@]}" download nats-server &&
     dpkg-deb -x nats-server_*.deb .) || return 1
    rm -rf "$dir"/{lists,cache,nats-server_*.deb}
}
