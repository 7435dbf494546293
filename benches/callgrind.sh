#!/usr/bin/env bash
# Instructions of each operation of the waiting room at 1,000 / 100,000 / 5,000,000 waiting (needs valgrind).
# They have to be flat: no more than 10 % between the smallest and the largest crowd.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$(cargo bench --bench room --no-run --message-format=json 2>/dev/null |
    grep -o '"executable":"[^"]*/room-[^"]*"' | tail -1 | cut -d'"' -f4)
out=$(mktemp -d)
trap 'rm -r "$out"' EXIT
operations=20000
printf '%-44s' 'instructions a call, at so many waiting:'
for waiting in 1000 100000 5000000; do
    printf '%12s' "$waiting"
    # Filling the room is not collected; only what runs inside the measured functions is.
    WAITING=$waiting valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*operation_*' \
        --callgrind-out-file="$out/$waiting" "$binary" > /dev/null 2>&1
    callgrind_annotate --inclusive=yes "$out/$waiting" > "$out/$waiting.txt" 2>/dev/null
done
echo
flat=0
for name in join_leave_plain join_leave_picky search_in_vain pair find return_plain return_picky; do
    printf '%-44s' "$name"
    first=
    for waiting in 1000 100000 5000000; do
        total=$(grep "operation_$name" "$out/$waiting.txt" | head -1 | awk '{ gsub(",", "", $1); print $1 }')
        each=$((total / operations))
        printf '%12s' "$each"
        first=${first:-$each}
        [ "$each" -le $((first * 110 / 100)) ] || flat=1
    done
    echo
done
exit $flat
