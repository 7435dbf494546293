#!/usr/bin/env bash
# Every check, in the order in which a mistake shows soonest. A check that fails does not stop the others; the summary at the
# end names each, and the exit status is that of the worst.
set -uo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}

names=() results=() failed=0

check() {
  local name=$1 start=$SECONDS status
  shift
  printf '\n=== %s: %s\n' "$name" "$*"
  "$@"
  status=$?
  names+=("$name")
  if [ "$status" = 0 ]; then
    results+=("ok      $((SECONDS - start)) s")
  elif [ "$status" = 77 ]; then # what is needed for it is not here: it has said what
    results+=("SKIPPED $((SECONDS - start)) s")
  else
    results+=("FAILED  $((SECONDS - start)) s (status $status)")
    failed=1
  fi
}

# A clean build on a machine of its own is not built upon: what helps the next build would only cost time.
[ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0

# What runs optimised is compiled beside the rest, which leaves a core idle at each crate that others wait for. It has a folder of its own.
optimised=$(mktemp)
trap 'rm -f "$optimised"' EXIT
cargo test --release --test simulation --test privacy --no-run --quiet > "$optimised" 2>&1 &
optimising=$!
optimised() {
  wait "$optimising"
  local status=$?
  cat "$optimised"
  return "$status"
}

# Every cargo command names the whole workspace: the same features each time, so nothing is compiled twice.
check format cargo fmt --all -- --check
check lints cargo clippy --workspace --all-targets --quiet -- -D warnings
check build cargo test --workspace --no-run --quiet
check optimised optimised
check unit cargo test --workspace --lib --bins --quiet
others=()
for file in loadgen/tests/*.rs benches/baseline/tests/*.rs; do others+=(--test "$(basename "$file" .rs)"); done
check others cargo test --workspace "${others[@]}" --quiet
# With the programs that were built for the tests: built alone they would have other features.
check benchmarks benches/bench.py --quick --no-build
check costs benches/costs.py --quick --no-build
check documentation cargo doc --workspace --no-deps --quiet
for file in tests/*.rs; do # each by name, so that the summary shows which
  name=$(basename "$file" .rs)
  check "$name" cargo test --workspace --test "$name" --quiet
done
for file in tests/*/main.rs; do
  name=$(basename "$(dirname "$file")")
  [ "$name" = simulation ] || [ "$name" = privacy ] || check "$name" cargo test --workspace --test "$name" --quiet
done
check simulation cargo test --release --test simulation --quiet
# As people run it: what a compiler leaves behind in memory depends on how it optimises.
check privacy cargo test --release --test privacy --quiet
if [ -f client-js/package.json ]; then
  check library npm test --prefix client-js
  check types npm run --prefix client-js typecheck
fi
check browsers scripts/e2e.sh
if [ -x scripts/interop.sh ]; then check interop scripts/interop.sh; fi
check judges scripts/judges.sh
check dependencies scripts/dependencies.sh
# Last, and only while it fits: all of this is to end within 40 minutes on two cores.
fuzz() {
  if [ "$SECONDS" -gt 1500 ]; then
    echo "SKIPPED: $SECONDS s have passed, and fuzzing takes eight minutes: make fuzz"
    return 77
  fi
  scripts/fuzz.sh
}
check fuzz fuzz

printf '\n=== summary\n'
for index in "${!names[@]}"; do printf '%-16s %s\n' "${names[$index]}" "${results[$index]}"; done
exit "$failed"
