#!/usr/bin/env bash
# Instructions of the core's operations, counted by valgrind: they compare across machines and however busy one is.
#
#     benches/callgrind.sh            frames, pairing, relay, hand-off; and the waiting room at 1,000 / 100,000 / 5,000,000 waiting
#     benches/callgrind.sh --quick    a debug build, without the waiting room: shows that it runs
#
# The counts of the waiting room have to be flat: no more than 10 % between the smallest and the largest crowd, or the exit
# status is 1.
set -euo pipefail
cd "$(dirname "$0")/.."
crowds=(1000 100000 5000000) profile=bench
[ "${1:-}" = --quick ] && crowds=() profile=dev
out=$(mktemp -d)
trap 'rm -r "$out"' EXIT

binary() {
    cargo bench --workspace --quiet --profile "$profile" --bench "$1" --no-run --message-format=json |
        grep -o "\"executable\":\"[^\"]*/$1-[^\"]*\"" | tail -1 | cut -d'"' -f4
}

# count BINARY CALLS > lines of "operation instructions-a-call"; what prepares an operation is not collected
count() {
    valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*operation_*' \
        --callgrind-out-file="$out/counts" "$1" > /dev/null 2>&1
    callgrind_annotate --inclusive=yes --threshold=100 "$out/counts" 2>/dev/null | awk -v calls="$2" '
        match($0, /operation_[a-z_0-9]+/) {
            name = substr($0, RSTART + 10, RLENGTH - 10)
            gsub(",", "", $1)
            if (!(name in seen)) { seen[name] = 1; printf "%s %d\n", name, $1 / calls }
        }'
}

command -v valgrind > /dev/null || { echo "callgrind.sh needs valgrind" >&2; exit 2; }
core=$(binary instructions)
printf '%-44s%12s\n' 'instructions a call' ''
count "$core" 1000 | sort | while read -r name each; do
    printf '%-44s%12s\n' "${name//_/ }" "$each"
done

[ "${#crowds[@]}" -gt 0 ] || exit 0
room=$(binary room)
for waiting in "${crowds[@]}"; do
    WAITING=$waiting count "$room" 20000 | sort > "$out/$waiting"
done
printf '\n%-44s' 'the waiting room, at so many waiting'
printf '%12s' "${crowds[@]}"
echo
flat=0
while read -r name first; do
    printf '%-44s' "${name//_/ }"
    for waiting in "${crowds[@]}"; do
        each=$(awk -v name="$name" '$1 == name { print $2 }' "$out/$waiting")
        printf '%12s' "$each"
        [ "$each" -le $((first * 110 / 100)) ] || flat=1
    done
    echo
done < "$out/${crowds[0]}"
exit $flat
