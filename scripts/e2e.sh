#!/usr/bin/env bash
# The journeys in real browsers, against the release binary: what a person meets.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ ! -f tests/browser/package.json ]; then
  echo "tests/browser is not there: no journey can be walked" >&2
  exit 1
fi
# As the tests build it: the same features, so that nothing is compiled twice.
cargo test --release --test privacy --no-run --quiet
npm test --prefix tests/browser
