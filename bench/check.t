#!/bin/bash
#
# Does the load generator find what it is there to find?  The floor, and for
# clients without a WebSocket floor/doors.py, harm one message of many, and the
# generator must say so.  TAP, for prove.

cd "$(dirname "$0")" || exit
make -s -j2 || exit

OUT=../build/bench
files=$(mktemp -d) || exit
floor=
preload=
doors=
tests=0
failed=0

trap '[ -z "$floor" ] || kill "$floor" 2> /dev/null; rm -rf "$files"' EXIT

# A port that is ours as long as this process lives; how much more time is
# needed than on an idle machine: so many seconds may a server stand still.
coproc KEEPER {
    exec perl -I../t/lib -MKapokMQ::Test -e 'alarm 0; $| = 1;
        printf "%d %d\n", KapokMQ::Suite::free_port(), slower(); <STDIN>'
}
read -r free slower <&"${KEEPER[0]}" || exit
PORT=${PORT:-$free}


# Adds what the floor's turns were to the result.
turns() {
    kill -RTMIN "$floor"

    for _ in {1..2400}; do
        [ -e "$files/turns" ] && break
        sleep 0.05
    done

    result+=$(cat "$files/turns")
    rm -f "$files/turns"
}


# load FLOOR-ARGUMENTS LOAD-ARGUMENTS: sets $result, with what is said on
# stderr, and $status
load() {
    local floor_is=("$OUT/kmq-floor" --port "$PORT" --seconds 300)

    [ -z "$doors" ] || floor_is=(floor/doors.py "$PORT" test)

    # shellcheck disable=SC2086
    LD_PRELOAD=$preload KMQ_TURNS=$files/turns "${floor_is[@]}" $1 &
    floor=$!

    for _ in {1..2400}; do
        (exec 3<> "/dev/tcp/127.0.0.1/$PORT") 2> /dev/null && break
        sleep 0.05
    done

    # shellcheck disable=SC2086
    result=$("$OUT/kmq-load" --port "$PORT" --drain "$slower" --timeout 120 \
             --producers 1 --messages 20000 $2 2> "$files/said")
    status=$?
    result+=$(< "$files/said")

    [ -z "$preload" ] || turns
    kill "$floor"
    wait "$floor" 2> /dev/null
    floor=
}


# check NAME FLOOR-ARGUMENTS LOAD-ARGUMENTS STATUS PART-OF-THE-RESULT...
check() {
    local part missing=

    load "$2" "$3"
    tests=$((tests + 1))

    for part in "${@:5}"; do
        [[ $result = *"$part"* ]] || missing+="«$part» "
    done

    if [ $status = "$4" ] && [ -z "$missing" ]; then
        echo "ok $tests - $1"
        return
    fi

    failed=1
    echo "not ok $tests - $1"
    echo "# status $status, not $4; no $missing in: $result"
}


# check_more NAME FLOOR-ARGUMENTS LOAD-ARGUMENTS NUMBER PATTERN: a number of
# the result, in the parentheses of the pattern, is larger than that
check_more() {
    load "$2" "$3"
    tests=$((tests + 1))

    if [[ $result =~ $5 ]] && [ "${BASH_REMATCH[1]}" -gt "$4" ]; then
        echo "ok $tests - $1"
        return
    fi

    failed=1
    echo "not ok $tests - $1"
    echo "# not more than $4 by «$5»: $result"
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

check "no delay: nothing early" "" "--delay 0" 0 "$good, \"early\": 0" \
    '"lateness_us"'
check "far from empty: nothing wrong" "" \
    "--producers 2 --consumers 3 --depth 20000 --messages 1000 --rounds 2" \
    0 "\"delivered\": 24000, $good" '"deep_push"' '"shallow_publish"'
check "visitors: nothing wrong" --fanout \
    "--consumers 3 --fanout --rate 20000 --churn 300" \
    0 "$good" '"missed": 0' '"gaps": 0'
check_more "visitors join" --fanout \
    "--consumers 3 --fanout --rate 20000 --churn 300" 0 '"joined": ([0-9]+)'
check_more "and get messages" --fanout \
    "--consumers 3 --fanout --rate 20000 --churn 300" 0 \
    '"most": [0-9]+, "messages": ([0-9]+)'
check_more "questions are asked" "" \
    "--rate 20000 --search page,topic,time,text,status,count" 0 \
    '"kind": "status", "walks": ([0-9]+)'

check "a message before its time is found" "" "--delay 60" 1 "before its time"
check "a lost message is found, far from empty" "--fault lose" \
    "--depth 20000 --messages 1000" 1 '"lost": 1, "duplicate": 0'
check "a lost message is found by those who stay" "--fault lose --fanout" \
    "--consumers 3 --fanout --rate 20000 --churn 300" 1 '"lost": 3'
check_more "and by visitors" "--fault lose --fanout" \
    "--consumers 3 --fanout --rate 2000 --messages 2000 --churn 100 --stay 99" \
    0 '"gaps": ([0-9]+)'
check_more "a server that stands still is late" "--fault stall" \
    "--rate 10000 --warmup 0" 200000 '"latency_us".*"max": ([0-9]+).*"read_lag'
check_more "and leaves a gap" "--fault stall" \
    "--rate 10000 --warmup 0" 199000 '"gap_us".*"max": ([0-9]+)'
check_more "and is late with delayed messages" "--fault stall" \
    "--delay 0 --window 10" 200000 '"lateness_us".*"max": ([0-9]+).*"read_lag'
check_more "and with its answers" "--fault stall" \
    "--answers --window 10 --warmup 0" 200000 \
    '"answer_us".*"max": ([0-9]+).*"failed"'
check_more "the time of answers is known" "" \
    "--answers --window 1000 --warmup 0" 15000 '"answer_us": ."count": ([0-9]+)'
check "a wrong answer to a question is found" "--fault damage" \
    "--rate 500 --search count" 1 'search \"count\": no success'

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
preload=$OUT/kmq-turn.so
check_more "turns are counted" "" "" 10 '"turns": ([0-9]+)'
check_more "a turn in which the floor stands still" "--fault stall" "" 199000 \
    '"wall_us": .*"max": ([0-9]+).*"cpu_us"'
check_more "is no CPU time" "--fault stall" "" 0 \
    '"cpu_us": [^}]*"max": (1?[0-9]?[0-9]?[0-9]?[0-9]?[0-9])[.]'
check_more "but sleep" "--fault stall" "" 199000 \
    '"asleep_us": .*"max": ([0-9]+)'
preload=

check_more "questions with pauses between them" "" \
    "--rate 20000 --search count --pause 0.3" 1 \
    '"search".*"answer_us": ."count": ([0-9]+)'
check "and with a long one" "" "--rate 20000 --search count --pause 90" 0 \
    '"answer_us": {"count": 1,'

# clients without a WebSocket, with a relay that has doors for them

doors=1
all='"delivered": 20000'
events="--batch 100 --events --producers 3 --consumers 5"
pull="--batch 100 --pull 50 --wait 0.1 --producers 3 --consumers 5"

check "batches, nobody consumes" "" "--ingest-only --batch 100" \
    0 '"accepted": 20000, "errors": 0, "unanswered": 0'
check "lines, several on their way, the last ones few" "" \
    "--ingest-only --batch 99 --ndjson --window 300" \
    0 '"accepted": 20000, "errors": 0, "unanswered": 0'
check_more "the time of their answers is known" "" \
    "--ingest-only --batch 100 --answers --warmup 0" 15000 \
    '"answer_us": ."count": ([0-9]+)'
check "streams of events: nothing wrong" "" "$events" 0 "$all, $good"
check "acknowledged: nothing wrong" "" "$events --confirm ack" 0 "$all, $good"
check "pulls: nothing wrong" "" "$pull" 0 "$all, $good"
check "confirmed between them: nothing wrong" "" "$pull --apart" \
    0 "$all, $good"
check "pulls of 1,000 that take several reads: nothing wrong" "" \
    "--batch 1000 --pull 1000 --size 1000" 0 "$all, $good"
check "topics: nothing wrong" "" "$events --topics 2" 0 "$all, $good"

for door in "$events" "$pull"; do
    name=${door#--batch 100 }
    name=${name%% *}
    one="$door --producers 1 --consumers 1"
    check "$name: a lost message is found" lose "$door" \
        1 '"lost": 1, "duplicate": 0, "disorder": 0'
    check "$name: a message that comes twice is found" twice "$door" \
        1 '"lost": 0, "duplicate": 1'
    check "$name: a message out of order is found" late "$one" \
        1 '"lost": 0, "duplicate": 0, "disorder": 1'
    check "$name: a damaged message is found" damage "$door" 1 '"corrupt": 1'
done

check "events: a message that is not confirmed is found" unsettled \
    "$events --confirm ack" 1 "not all were confirmed"
check "pulls: a message that is not confirmed is found" unsettled "$pull" \
    1 "not all were confirmed"
check "a stream that ends is found" end "$events" 1 "the stream ended"
check "a batch that is refused is found" refuse "$pull" 1 "HTTP/1.1 503"
# by a producer alone: before all are connected it would be an error
check "a wrong key is found" "" "--ingest-only --batch 100 --key other" \
    1 "HTTP/1.1 401"
check "streams with a wrong key are an error" "" "$events --key other" 2 ""
doors=

check "idle clients of several processes" "" "--idle 7 --spread 3" \
    0 '{"idle": 7}'
check "one of which cannot log in" "" "--idle 7 --spread 3 --key other" 2 ""

for wrong in "--events --pull 1" "--pull 1 --confirm ack" \
    "--pull 1 --fanout" "--events --confirm pong" \
    "--batch 100 --window 10" "--batch 10 --json" \
    "--pull 1 --idle 1 --return 1" "--spread 2" "--idle 1 --rate 1" \
    "--idle 1 --return 1 --rate 1 --fanout"
do
    check "$wrong makes no sense" "" "$wrong" 2 ""
done

# the same over TLS

openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
    -subj /CN=localhost -keyout "$files/key" -out "$files/crt" 2> /dev/null
cat "$files/key" "$files/crt" > "$files/tls" 2> /dev/null
tls="--tls $files/tls"

# shellcheck disable=SC2086
if "$OUT/kmq-floor" --port "$PORT" $tls --seconds 0 2> /dev/null; then
    check "TLS: nothing wrong" "$tls" "--tls --producers 3 --consumers 5" \
        0 "\"delivered\": 20000, $good"
    check "TLS, fan-out: nothing wrong" "$tls --fanout" \
        "--tls --consumers 5 --fanout" 0 "\"delivered\": 100000, $good"
    check "TLS, 64 kB: nothing wrong" "$tls" \
        "--tls --size 65536 --messages 2000" 0 "$good"
    check "TLS, visitors: nothing wrong" "$tls --fanout" \
        "--tls --consumers 3 --fanout --rate 20000 --churn 300" \
        0 "$good" '"missed": 0' '"gaps": 0'
    check "TLS: a lost message is found" "$tls --fault lose" "--tls" \
        1 '"lost": 1, "duplicate": 0, "disorder": 0'
    check "TLS: a damaged message is found" "$tls --fault damage" "--tls" \
        1 '"corrupt": 1'
    check "TLS with one who does not speak it" "" "--tls --timeout 5" 2 ""
    check "and without it" "$tls" "--timeout 5" 2 ""
else
    tests=$((tests + 1))
    echo "ok $tests # skip TLS: no openssl, or not compiled in"
fi

check "a wrong key is an error" "--key other" "" 2 ""

# what does not talk to a server

# check_alone NAME STATUS PART-OF-THE-RESULT COMMAND...
check_alone() {
    result=$("${@:4}" 2> /dev/null)
    status=$?
    tests=$((tests + 1))

    if [ $status = "$2" ] && [[ $result = *"$3"* ]]; then
        echo "ok $tests - $1"
        return
    fi

    failed=1
    echo "not ok $tests - $1"
    echo "# status $status, not $2; no «$3» in: $result"
}


check_alone "a repair leaves all messages where they were" 0 \
    '"failed": false' "$OUT/kmq-repair" --messages 20000 --delayed 2000 \
    --consumed 3000

check_alone "what fits beside survivors is counted" 0 '"patterns": 72, ' \
    "$OUT/kmq-capacity" --zone 1
check_alone "a block that is too small is an error" 2 "" \
    "$OUT/kmq-capacity" --zone 0

check_alone "more workers than cores" 0 \
    '"workers": 5, "batch": 4, "work_ns": 0, "topics": 2, ' \
    "$OUT/kmq-cores" --workers 5 --topics 2 --batch 4 --seconds 0.1
check_alone "no workers are an error" 1 "" "$OUT/kmq-cores" --workers 0
check_alone "lines that operations write are counted" 0 'batches of 64' \
    "$OUT/kmq-cores" --lines

# written_by_both ARGUMENT...: lines of a message that both workers write, each
# in a batch of its own, in hundredths
written_by_both() {
    "$OUT/kmq-cores" --lines "$@" |
        awk '$1 == "all" { print int($NF * 100); exit }'
}


own=$(written_by_both)
common=$(written_by_both --topics 1)
tests=$((tests + 1))

if [ "$own" -lt "$common" ]; then
    echo "ok $tests - workers who share a topic write more of the same lines"
else
    failed=1
    echo "not ok $tests - workers who share a topic write more of the same lines"
    echo "# $own, and $common with a topic for both"
fi

mkdir "$files/journal" "$files/checkpoint" "$files/disk"

check_alone "all is recovered from a journal" 0 \
    '"recovered": 20000, "records": 20000,' \
    "$OUT/kmq-recover" --messages 20000 --dir "$files/journal"
check_alone "all is recovered from a checkpoint" 0 '"recovered": 20000,' \
    "$OUT/kmq-recover" --messages 20000 --checkpoint --dir "$files/checkpoint"
check_alone "and nothing else is there" 0 checkpoint-0000000000000001 \
    ls "$files/checkpoint"
check_alone "what is not right is found" 1 '"failed": true' \
    "$OUT/kmq-recover" --messages 10000 --dir "$files/checkpoint"
check_alone "no directory is an error" 2 "" \
    "$OUT/kmq-recover" --messages 100 --dir "$files/none"
check_alone "a disk is measured" 0 '{"bytes": 4000, ' \
    "$OUT/kmq-disk" --dir "$files/disk" --bytes 4000 --seconds 0.1
check_alone "its file is gone" 0 "" rmdir "$files/disk"
check_alone "no disk is an error" 2 "" "$OUT/kmq-disk" --dir "$files/none"

# two processes that callgrind has counted, and what it wrote about more work

mkdir "$files/first" "$files/second"
printf '%s\n' 'events: Ir' 'fn=(1) work' '3 500' 'cfn=(2) kmq_lock' \
    'calls=7 9' '4 70' 'fn=(2)' '9 70' | tee "$files/first/1" \
    > "$files/first/2"
printf '%s\n' 'events: Ir' 'fn=(1) work' '3 1500' '+2 1000' \
    'cfn=(2) kmq_lock' 'calls=7 9' '* 170' 'fn=(2)' '9 170' 'fn=(1)' '-1 5' |
    tee "$files/second/1" > "$files/second/2"
echo '{"whole": {"others_cpu": 0.5, "more": 1}}' > "$files/load"
check_alone "instructions of two runs are told apart" 0 \
    '{"instructions": 42.1, "lock": 2.0, "whole": {"others_cpu": 0.5}}' \
    probes/workers.py 100 "$files/first" "$files/second" "$files/load"

echo "1..$tests"
exit $failed
