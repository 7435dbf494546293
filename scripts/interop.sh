#!/usr/bin/env bash
# A client by other people, in Python, against a server of its own on free ports.
set -euo pipefail
cd "$(dirname "$0")/.."

python=target/python/bin/python
[ -x "$python" ] || scripts/setup.sh
# As the tests build it: the same features, so that nothing is compiled twice.
cargo test --workspace --no-run --quiet
output=$(mktemp)
target/debug/anoncam --listen 127.0.0.1:0 --site 127.0.0.1:0 --shards 2 > "$output" &
server=$!
trap 'kill "$server" 2> /dev/null || true; wait "$server" 2> /dev/null || true; rm -f "$output"' EXIT

for _ in $(seq 100); do
  site=$(grep -o 'http://[^ ]*' "$output" || true)
  [ -z "$site" ] || break
  kill -0 "$server" || exit 1
  sleep 0.1
done
"$python" tests/interop/test_chat.py "$site"
"$python" tests/interop/test_hostile.py "$site"
