#!/usr/bin/env bash
# Installs what the tests need, and skips what is there. Safe to run again; as root or with sudo on Debian and Ubuntu.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }

# --- programs from the distribution: browsers, a display without a screen, a TURN relay, a monitor, an instruction counter, and
# what reads the files in deploy/
declare -A package_of=(
  [chromium]=chromium
  [firefox-esr]=firefox-esr
  [WebKitWebDriver]=webkit2gtk-driver
  [Xvfb]=xvfb
  [turnserver]=coturn
  [prometheus]=prometheus
  [valgrind]=valgrind
  [pebble]=pebble
  [testssl]=testssl.sh
  [perf]=linux-perf
  [systemd-analyze]=systemd
  [docker-compose]=docker-compose
  [strace]=strace
  [node]=nodejs
  [npm]=npm
)
missing=()
# Lies outside of the path of users.
[ -x /usr/sbin/nft ] || missing+=(nftables)
for program in "${!package_of[@]}"; do
  command -v "$program" > /dev/null || missing+=("${package_of[$program]}")
done
# Letters of every language of the page: a state is measured with its real words.
[ -n "$(fc-list :lang=hi 2> /dev/null)" ] || missing+=(fontconfig fonts-noto-core)
if [ "${#missing[@]}" -gt 0 ]; then
  if ! command -v apt-get > /dev/null; then
    say "please install: ${missing[*]}"
    exit 1
  fi
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  say "installing ${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}"
fi

# --- packages of the JavaScript parts, exactly as locked
for directory in client-js tests/browser tests/judges; do
  [ -f "$directory/package-lock.json" ] || continue
  stamp="$directory/node_modules/.package-lock.json"
  if [ ! -f "$stamp" ] || [ "$directory/package-lock.json" -nt "$stamp" ]; then
    say "npm ci in $directory"
    npm ci --prefix "$directory" --no-audit --no-fund --loglevel=error
    touch "$stamp"
  fi
done

# --- a client by other people in Python, and two that look at dependencies, in an environment of their own
environment=target/python
wanted=$(cat tests/interop/requirements.txt tests/judges/requirements.txt)
if [ "$wanted" != "$(cat "$environment/installed.txt" 2> /dev/null)" ]; then
  say "Python packages for tests/interop and tests/judges"
  python3 -m venv "$environment"
  "$environment/bin/pip" --quiet --disable-pip-version-check install $wanted
  printf '%s\n' "$wanted" > "$environment/installed.txt"
fi
# --- the fuzzer, where there is a compiler for it (rustup toolchain install nightly)
if rustc +nightly --version > /dev/null 2>&1 && ! cargo +nightly fuzz --version > /dev/null 2>&1; then
  say "cargo install cargo-fuzz"
  cargo install --locked --quiet cargo-fuzz || say "it is not to be had: fuzzing will be skipped"
fi
say "everything is there"
