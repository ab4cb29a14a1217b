#!/bin/bash
# What packaging/deb.t does inside of the fresh Debian; it says TAP.
set -u
. /root/tap.sh
site=/etc/nginx/sites-enabled/kapokmq
settings=/etc/nginx/kapokmq/application.yaml
at=http://127.0.0.1:8011
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin

install() {      # a package's file, or names of packages
    case $1 in
        /*) dpkg -i --force-confold "$1"; return ;;
    esac
    apt-get install -y --no-download --no-install-recommends \
        -o Dpkg::Options::=--force-confold "$@"
}

key() {
    sed -n 's/^  secretKey: //p' $settings
}

ask() {          # ask FUNCTION [ARGUMENT...]
    curl -sS -f -X POST -H "secretKey: $(key)" "$at/Console/$1" "${@:2}"
}

waiting() {
    [ "$(ask CountMessage | sed 's/.*"unconsumed":\([0-9]*\).*/\1/')" = "$1" ]
}

send() {
    local i
    for ((i = 0; i < $1; i++)); do
        echo "next"
        echo "url = $at/Producer/Send"
        echo "header = \"secretKey: $(key)\""
        echo "data = topic=orders"
        echo "data = messageData=message-$i"
        echo "fail"
    done | curl -sS -K - | grep -o '"code":0' | wc -l | grep -qx "$1"
}

master() {
    cat /run/nginx.pid
}

version_of() {   # of the program that runs, whatever there is on disk
    "/proc/$(master)/exe" -v
}

newest() {       # the running nginx is the one that is installed
    [ "$(readlink "/proc/$(master)/exe")" = /usr/sbin/nginx ]
}

mapped() {       # the running nginx has the module that is installed
    local module=/usr/lib/nginx/modules/ngx_kapokmq_module.so
    grep -q "$module\$" "/proc/$(master)/maps" &&
        ! grep -q "$module (deleted)" "/proc/$(master)/maps"
}

enabled() {
    ln -s ../sites-available/kapokmq $site && nginx -t && invoke-rc.d nginx reload
}

# -------------------------------------------------------------- installation

ok "Debian's nginx runs" invoke-rc.d nginx start
ok 'the package is installed' install /root/older.deb
ok 'nginx has reloaded and runs' invoke-rc.d nginx status
ok 'and serves nothing of it yet' not curl -sS "$at/"
ok 'the module is enabled' test -e /etc/nginx/modules-enabled/50-mod-http-kapokmq.conf
ok "the data's home is the workers'" \
    test "$(stat -c '%U:%G %a' /var/lib/kapokmq)" = 'www-data:www-data 750'
ok "the settings are root's" test "$(stat -c '%U %a' $settings)" = 'root 600'
ok 'with a key of their own' sh -c \
    "grep -qE '^  secretKey: [0-9a-f]{32}\$' $settings"
ok 'nginx finds them correct' nginx -t
ok 'the manual pages are there' sh -c \
    'ls /usr/share/man/man7/kapokmq.7.gz /usr/share/man/man8/kapokmq-dump.8.gz ||
     grep -rq "path-exclude.*/usr/share/man" /etc/dpkg'
ok 'as the README says, the site is enabled' enabled
ok 'the queue is there' until_ok waiting 0
ok 'and the page' sh -c "curl -sS -f $at/ | grep -q '<script'"
ok 'nobody else may read its files' \
    test -z "$(find /var/lib/kapokmq -perm /007)"
ok '50 messages are accepted' send 50
ok 'and wait' waiting 50
ok 'what is on disk is sound' kapokmq-dump -q /var/lib/kapokmq
ok 'nginx said nothing' not grep -E 'kapokmq.*(emerg|crit|alert)|\[(emerg|alert|crit)\]' \
    /var/log/nginx/error.log

# ------------------------------------------------------------------ rotation

rotated() {
    logrotate -f /etc/logrotate.d/nginx && send 1 && waiting 51 &&
        until_ok grep -q Producer/Send /var/log/nginx/kapokmq.log &&
        grep -q Producer/Send /var/log/nginx/kapokmq.log.1
}
ok "its log is rotated with nginx's" rotated

# ---------------------------------------------- the unit of the documents

if [ -d /run/systemd/system ]; then
    unit() {
        local dir=/etc/systemd/system/nginx.service.d

        mkdir -p $dir
        zcat -f /usr/share/doc/libnginx-mod-http-kapokmq/docs/operations.md* |
            sed -n '/^```ini$/,/^```$/p' | grep -v '^```' > $dir/kapokmq.conf
        systemctl daemon-reload && systemctl restart nginx &&
            [ "$(systemctl show -P LimitNOFILE nginx)" = 65536 ]
    }
    ok 'systemd takes what docs/operations.md adds' unit
    old=$(master)
    ok 'nginx is killed' kill -KILL "$old"
    another() {
        [ "$(master)" != "$old" ] && waiting 51
    }
    ok 'it comes again, and nothing is lost' until_ok another
fi

# ---------------------------------------------------- another nginx under it

old=$(master)
dpkg -s nginx | grep ^Version: | sed 's/^/# before: /'
start=$SECONDS
ok "Debian's scripts upgrade nginx" install --reinstall nginx nginx-common
echo "# took $((SECONDS - start)) s"
dpkg -s nginx | grep ^Version: | sed 's/^/# now: /'
ok 'a new nginx runs' until_ok invoke-rc.d nginx status
ok 'it is the one that was installed' until_ok newest
ok 'another process' test "$old" != "$(master)"
ok 'nothing is lost' until_ok waiting 51
ok 'it goes on' send 9
ok 'and counts' waiting 60
sed 's/^/# error.log: /' /var/log/nginx/error.log | tail -n 8

# ------------------------------------------------- the module is upgraded

echo '# mine' >> /etc/nginx/snippets/kapokmq.conf
before=$(key)
old=$(master)
ok 'the package is upgraded' install /root/newer.deb
ok 'another nginx runs' test "$old" != "$(master)"
ok 'with the new module' until_ok mapped
ok 'nothing is lost then' until_ok waiting 60
ok 'the key is as it was' test "$before" = "$(key)"
ok 'and so is what the owner wrote' grep -q '# mine' /etc/nginx/snippets/kapokmq.conf

# A configuration that is wrong at that moment: nginx goes on as it is.
broken() {
    echo 'bogus;' > /etc/nginx/conf.d/broken.conf
    install /root/newer.deb
    local status=$?
    rm /etc/nginx/conf.d/broken.conf
    grep -q 'goes on with the old module' "$log" && return $status
}
old=$(master)
ok 'with a broken nginx.conf it is upgraded as well' broken
ok 'nginx runs as before' test "$old" = "$(master)"
ok 'and serves' waiting 60

# ------------------------------------------------------------- removal

ok 'the package is removed' apt-get remove -y libnginx-mod-http-kapokmq
ok 'the configuration is correct without it' nginx -t
ok 'nginx runs without it' invoke-rc.d nginx status
ok 'and can be restarted' invoke-rc.d nginx restart
ok 'the queue is not there' until_ok not curl -sS "$at/"
ok 'its messages are' sh -c 'ls /var/lib/kapokmq/*'

ok 'it is installed again' install /root/newer.deb
ok 'nothing is lost by that' until_ok waiting 60

# Someone who has its directives in files of their own.
named() {
    echo 'server { listen 8012; location /a/ { kapokmq_console; } }' \
        > /etc/nginx/conf.d/mine.conf
    apt-get remove -y libnginx-mod-http-kapokmq || return
    rm /etc/nginx/conf.d/mine.conf
    grep -q 'needs KapokMQ still' "$log"
}
ok 'a removal says who needs it still' named
ok 'nginx runs all the same' invoke-rc.d nginx status

# the owner's own
rm -rf /etc/systemd/system/nginx.service.d

ok 'it is purged' apt-get purge -y libnginx-mod-http-kapokmq
ok 'and nothing is left' test -z "$(find / -xdev -iname '*kapokmq*' \
    -not -path '/proc/*' -not -path '/root/*' -not -path '/var/log/*' \
    -not -path '/var/cache/*' 2>/dev/null)"
ok 'nginx runs' invoke-rc.d nginx restart

echo "1..$n"
