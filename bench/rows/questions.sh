# Rows search, console, page: many messages wait, and somebody asks.

# row_questions NAME TITLE TOPICS KIND...: point to point while DEEP messages
# wait in so many topics, and the console is asked: nothing, each kind of
# question, all of them together.
row_questions() {
    local run kind all name=$1 title=$2 topics=$3

    shift 3
    wanted "$name" "$title" || return 0
    room_for "$deep_room" "$name" || return 0
    echo "bench: $name" >&2
    zone=${deep_room}m
    buffer=$((DEEP * 2))
    all=$(IFS=,; echo "$*")

    for ((run = 1; run <= RUNS; run++)); do
        start_queue
        fill_queue "$topics" "$DEEP" --producers 1

        for kind in none "$@" all; do
            local search=()

            case $kind in
                none) ;;
                all) search=(--search "$all") ;;
                *) search=(--search "$kind") ;;
            esac

            measure "$name" search "$title" "$kind" "$run" "$PORT" \
                --topic "probe-$kind" --producers 8 --consumers 8 \
                --rate 10000 --seconds "$SEARCH_SECONDS" --warmup 0.2 \
                --timeout $((SEARCH_SECONDS * 4 + 60)) "${search[@]}"
        done

        stop_server
    done

    zone=128m
    buffer=10000000
}


row_search() {
    row_questions search \
        "10,000 messages a second while $DEEP are searched" \
        8 count get delete status topic time page
}


# The same with the page itself, in a browser where the load generator was, and
# how long the worker's turns are meanwhile.
row_page() {
    local run browser result title="console page, $DEEP wait in 1,000 topics"

    wanted page "$title" || return 0
    room_for "$deep_room" page || return 0

    if ! [ -e view/dist/index.html ] || ! [ -d t/node_modules ]; then
        echo "bench: page: left out, see README.md for what it needs" >&2
        return 0
    fi

    echo "bench: page" >&2
    zone=${deep_room}m
    buffer=$((DEEP * 2))
    launch_with_turns

    for ((run = 1; run <= RUNS; run++)); do
        start_queue
        fill_queue 1000 "$DEEP" --producers 1

        browser=$(mktemp -d "$OUT/browser.XXXXXX")
        result=$(taskset -c "$LOAD_CPU" node bench/probes/page.js "$PORT" \
            "$KEY" "$browser" "$watch" "$OUT/turns.json" \
            2> "$OUT/load.log") ||
            failed "page, run $run"
        rm -rf "$browser"
        record page page "$title" queue "$run" "$result"
        stop_server
    done

    launch_without_turns
    zone=128m
    buffer=10000000
}


row_console() {
    row_questions console \
        "10,000 messages a second, $DEEP wait in 1,000 topics" \
        1000 overview topics detail growth clients newest oldest text
}
