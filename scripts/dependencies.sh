#!/usr/bin/env bash
# What the program is built of: licences and sources by cargo-deny, known holes by cargo-audit. What cannot be looked up here is said so, with status 77.
# ADVISORIES names a checkout of RustSec's database; without it the database is fetched.
set -uo pipefail
cd "$(dirname "$0")/.."

find_tool() { command -v "$1" || { [ -x "target/python/bin/$1" ] && echo "target/python/bin/$1"; }; }
deny=$(find_tool cargo-deny) && audit=$(find_tool cargo-audit)
if [ -z "${deny:-}" ] || [ -z "${audit:-}" ]; then
  echo "SKIPPED: cargo-deny and cargo-audit are not here: scripts/setup.sh installs them"
  exit 77
fi
"$deny" --offline check --hide-inclusion-graph bans licenses sources || exit 1

database=${ADVISORIES:-target/advisories}
if [ -z "${ADVISORIES:-}" ]; then
  rm -rf "$database"
  if ! GIT_TERMINAL_PROMPT=0 timeout 60 git clone --quiet --depth 1 https://github.com/RustSec/advisory-db "$database" 2> /dev/null; then
    echo "SKIPPED: known holes: RustSec's database cannot be reached from here (ADVISORIES=PATH names a checkout)"
    exit 77
  fi
fi
"$audit" audit --db "$database" --no-fetch --stale --deny warnings
