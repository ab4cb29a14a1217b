# Rows tls, idle-tls.

# A certificate, if the floor, the load generator and nginx can do with one.
make_certificate() {
    (
        umask 077
        openssl req -x509 -nodes -newkey ec -days 30 -subj /CN=localhost \
            -pkeyopt ec_paramgen_curve:prime256v1 \
            -keyout "$CERTIFICATE.key" -out "$CERTIFICATE.crt" &&
            cat "$CERTIFICATE.crt" "$CERTIFICATE.key" > "$CERTIFICATE"
    ) 2> "$OUT/load.log" &&
        "$OUT/kmq-floor" --port "$FLOOR_PORT" --tls "$CERTIFICATE" \
            --seconds 0 2> "$OUT/load.log" &&
        "$NGINX" -V 2>&1 | grep -q -- --with-http_ssl_module
}


# The same over wss; who fills the zone does without.
rows_tls() {
    local p2p="--tls --producers 8 --consumers 8 --seconds $DURATION"
    local title="8 and 8, 100 B, wss" idle="memory of an idle consumer, wss"

    if [ "$ROWS" != list ]; then
        [ "$ROWS" = all ] || [[ " $ROWS " =~ \ (tls|idle-tls)\  ]] || return 0

        make_certificate || {
            echo "bench: tls left out: it needs libssl-dev, openssl, and" \
                "nginx with its ssl module" >&2
            return 0
        }
    fi

    queue_port=$TLS_PORT
    listens="listen 127.0.0.1:$TLS_PORT ssl backlog=4096;
        ssl_certificate $CERTIFICATE;
        ssl_certificate_key $CERTIFICATE;
        ssl_protocols TLSv1.3;"

    row tls delivered_per_s "$title" "--tls $CERTIFICATE" "" \
        "$p2p --window 100"
    row_idle idle-tls "$idle" --tls

    listens=
    queue_port=$PORT
}
