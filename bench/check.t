#!/bin/bash
#
# Does the load generator find what it is there to find?  The floor harms one
# message of many, and the generator must say so.  TAP, for prove.

cd "$(dirname "$0")" || exit
make -s || exit

OUT=../build/bench
PORT=${PORT:-8050}
floor=
tests=0
failed=0

trap '[ -z "$floor" ] || kill "$floor" 2> /dev/null' EXIT


# load FLOOR-ARGUMENTS LOAD-ARGUMENTS: sets $result and $status
load() {
    # shellcheck disable=SC2086
    "$OUT/kmq-floor" --port "$PORT" --seconds 60 $1 &
    floor=$!

    for _ in {1..200}; do
        (exec 3<> "/dev/tcp/127.0.0.1/$PORT") 2> /dev/null && break
        sleep 0.05
    done

    # shellcheck disable=SC2086
    result=$("$OUT/kmq-load" --port "$PORT" --drain 1 --timeout 30 \
             --producers 1 --messages 20000 $2 2> /dev/null)
    status=$?

    kill "$floor"
    wait "$floor" 2> /dev/null
    floor=
}


# check NAME FLOOR-ARGUMENTS LOAD-ARGUMENTS STATUS PART-OF-THE-RESULT
check() {
    load "$2" "$3"
    tests=$((tests + 1))

    if [ "$status" = "$4" ] && [[ $result = *"$5"* ]]; then
        echo "ok $tests - $1"
        return
    fi

    failed=1
    echo "not ok $tests - $1"
    echo "# status $status, not $4; no «$5» in: $result"
}


good='"lost": 0, "duplicate": 0, "disorder": 0, "corrupt": 0, "closed": 0'

check "point to point: nothing wrong" "" "--producers 3 --consumers 5" \
    0 "\"delivered\": 20000, $good"
check "fan-out: nothing wrong" --fanout "--consumers 5 --fanout" \
    0 "\"delivered\": 100000, $good"
check "JSON frames: nothing wrong" "" --json 0 "$good"
check "acknowledged: nothing wrong" "" "--confirm ack" 0 "$good"
check "64 kB: nothing wrong" "" "--size 65536 --messages 2000" 0 "$good"
check "topics: nothing wrong" "" "--topics 3 --consumers 2" 0 "$good"
check "nobody consumes" "" --ingest-only 0 '"accepted": 20000'
check "open loop" "" "--rate 100000 --window 1" 0 '"accepted": 20000'

check "a lost message is found" "--fault lose" "--consumers 5" \
    1 '"lost": 1, "duplicate": 0, "disorder": 0'
check "and in fan-out" "--fault lose --fanout" "--consumers 5 --fanout" \
    1 '"lost": 5, "duplicate": 0, "disorder": 0'
check "a message that comes twice is found" "--fault twice" \
    "--consumers 5" 1 '"lost": 0, "duplicate": 1, "disorder": 0'
check "and in fan-out" "--fault twice --fanout" "--consumers 5 --fanout" \
    1 '"lost": 0, "duplicate": 5, "disorder": 0'
check "a message out of order is found" "--fault late" "" \
    1 '"lost": 0, "duplicate": 0, "disorder": 1'
check "and in fan-out" "--fault late --fanout" "--consumers 5 --fanout" \
    1 '"lost": 0, "duplicate": 0, "disorder": 5'
check "a damaged message is found" "--fault damage" "" 1 '"corrupt": 1'
check "a wrong key is an error" "--key other" "" 2 ""

echo "1..$tests"
exit $failed
