#!/bin/sh
# Runs one fuzzer for so many seconds and reports as a test: SECONDS FUZZER
seconds=$1
fuzzer=$2
name=$(basename "$fuzzer")
seeds=$(dirname "$0")/corpus/$name
corpus=$fuzzer.corpus
log=$fuzzer.log

mkdir -p "$corpus"
[ -d "$seeds" ] || seeds=

echo 1..1
if "$fuzzer" -max_total_time="$seconds" -max_len=4096 -timeout=10 \
    -rss_limit_mb=1024 -artifact_prefix="$fuzzer-" \
    "$corpus" $seeds > "$log" 2>&1
then
    echo "ok 1 - $name: $(sed -n 's/^\(Done .*\)/\1/p' "$log")"
else
    echo "not ok 1 - $name: see $log"
    tail -n 40 "$log" | sed 's/^/# /'
    exit 1
fi
