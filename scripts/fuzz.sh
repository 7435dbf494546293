#!/usr/bin/env bash
# Every fuzz target for FUZZ_SECONDS (60), two at a time, from its seeds and from what earlier runs left in fuzz/corpus. An input that breaks one is
# printed and left in fuzz/artifacts; once the fault is mended it belongs into fuzz/seeds, where `cargo test --test fuzz_seeds` replays it.
# In CI the same inputs are tried each time, so that it judges the change and not luck; FUZZ_SEED names another row of them.
set -uo pipefail
cd "$(dirname "$0")/.."

if ! cargo +nightly fuzz --version > /dev/null 2>&1; then
  echo "SKIPPED: fuzzing needs a nightly compiler and cargo-fuzz (cargo install --locked cargo-fuzz)"
  exit 77
fi
cargo +nightly fuzz build || exit 1

host=$(rustc +nightly -vV | sed -n 's/^host: //p')
export binaries=fuzz/target/$host/release seconds=${FUZZ_SECONDS:-60} seed=${FUZZ_SEED:-${CI:+1}} logs
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

fuzz_one() {
  local target=$1
  mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
  if "$binaries/$target" -max_total_time="$seconds" -seed="${seed:-0}" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="fuzz/artifacts/$target/" "fuzz/corpus/$target" "fuzz/seeds/$target" > "$logs/$target" 2>&1; then
    echo "ok      $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$logs/$target") inputs in $seconds s"
  else
    echo "FAILED  $target"
    tail -40 "$logs/$target"
    return 1
  fi
}
export -f fuzz_one
# xargs ends with 123 if one of them failed.
ls fuzz/seeds | xargs -P 2 -I '{}' bash -c 'fuzz_one {}'
