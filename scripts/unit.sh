#!/usr/bin/env bash
# Installs the server as deploy/install.sh does and runs it under a systemd of its own, with the whole sandbox: page, redirect,
# metrics, two upgrades, a reload, the watchdog, the log, the end. As root on a machine with systemd; in namespaces, so that
# nothing of the machine is changed: its files under /etc and /usr/local are covered, its network is another.
#
#   scripts/unit.sh [PROGRAM]       # target/release/anoncam unless given
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "${1:-target/release/anoncam}")

if [ -z "${ANONCAM_UNIT_INSIDE:-}" ]; then
  covered=$(mktemp -d)
  trap 'rm -rf "$covered"' EXIT
  mkdir "$covered/deploy"
  cp deploy/* "$covered/deploy/" 2> /dev/null || true
  cp "$program" "$covered/anoncam"
  cp "$0" "$covered/unit.sh"
  mkdir -p /var/lib/anoncam
  ANONCAM_UNIT_INSIDE=boot unshare --pid --fork --kill-child --mount --mount-proc --cgroup --net --uts --ipc \
    "$covered/unit.sh" "$covered/anoncam" > "$covered/systemd.log" 2>&1 &
  manager=$!
  for _ in $(seq 100); do
    first=$(pgrep --parent "$manager" || true)
    [ -n "$first" ] && nsenter --target "$first" --all systemctl is-system-running 2> /dev/null | grep -qE 'running|degraded' && break
    sleep 0.3
  done
  status=0
  nsenter --target "$first" --all env ANONCAM_UNIT_INSIDE=run /run/anoncam-test/unit.sh /run/anoncam-test/anoncam || status=$?
  kill -KILL "$first"
  wait "$manager" 2> /dev/null || true
  exit "$status"
fi

if [ "$ANONCAM_UNIT_INSIDE" = boot ]; then
  mount --make-rprivate /
  source=$(dirname "$program")
  mount -t tmpfs tmpfs /run
  mkdir /run/anoncam-test
  cp -r "$source"/* /run/anoncam-test/
  for directory in /tmp /var/log /var/lib/systemd /var/lib/anoncam; do mount -t tmpfs -o mode=755 tmpfs "$directory"; done
  for directory in /etc /usr/local; do
    layer=/run/layers$directory
    mkdir -p "$layer/upper" "$layer/work"
    mount -t overlay overlay -o "lowerdir=$directory,upperdir=$layer/upper,workdir=$layer/work" "$directory"
  done
  chmod 1777 /tmp
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  # What would set up a machine: this one is.
  mkdir -p /run/systemd/system
  for name in tmpfiles-setup tmpfiles-setup-dev sysctl udevd udev-trigger modules-load remount-fs random-seed update-utmp \
    journal-flush machine-id-commit hwdb-update sysusers pstore binfmt logind; do
    ln -s /dev/null "/run/systemd/system/systemd-$name.service"
  done
  ln -s /dev/null /run/systemd/system/systemd-udevd-kernel.socket
  ln -s /dev/null /run/systemd/system/systemd-udevd-control.socket
  printf '[Unit]\nRequires=sysinit.target\nAfter=sysinit.target\nAllowIsolate=yes\n' > /run/systemd/system/boot.target
  ip link set lo up
  exec env -u ANONCAM_UNIT_INSIDE /lib/systemd/systemd --system --unit=boot.target --log-target=console
fi

cd /run/anoncam-test
failed=0
expect() { # WHAT, then a command that has to succeed
  if "${@:2}"; then echo "ok      $1"; else echo "FAILED  $1" && failed=1; fi
}
main() { systemctl show --property MainPID --value anoncam; }
is_main() { # waits: systemd reads notifications in its own time
  for _ in $(seq 100); do [ "$(main)" = "$1" ] && return; sleep 0.1; done
  return 1
}
contains() { grep -q "$1" <<< "$2"; }

deploy/install.sh /run/anoncam-test/anoncam > /dev/null 2>&1
sysctl -qw net.ipv4.ip_unprivileged_port_start=80
config=/etc/anoncam/anoncam.toml
adopt=$(anoncam policy $config | grep 'policy = ')
sed -i "s|^\[operator\]|[operator]\n$adopt|; s|^\[acme\]|[acme]\ndirectory = \"https://127.0.0.1:1/directory\"|" $config

expect "it starts" systemctl start anoncam
expect "the page answers on port 443" contains open "$(curl -sk --resolve chat.example:443:127.0.0.1 https://chat.example/healthz)"
expect "port 80 leads there" contains https://chat.example/ "$(curl -s -o /dev/null -w '%{redirect_url}' -H 'Host: chat.example' http://127.0.0.1/)"
expect "metrics are told" contains anoncam_ "$(curl -s http://127.0.0.1:9464/metrics)"
for turn in first second; do
  install -m 755 anoncam /usr/local/bin/anoncam
  heir=$(anoncam upgrade | sed -n 's/^process \([0-9]*\) .*/\1/p')
  expect "systemd follows the $turn upgrade" is_main "$heir"
done
expect "it is reloaded" systemctl reload anoncam
sleep 35
expect "the watchdog is fed for longer than it waits" is_main "$heir"
expect "it has no capability" contains 0000000000000000 "$(grep CapBnd "/proc/$heir/status")"
expect "its system calls are filtered" contains 2 "$(grep Seccomp: "/proc/$heir/status")"
inside=/proc/$heir/root
expect "it sees no home" test -z "$(find "$inside/root" "$inside/home" -mindepth 1 2> /dev/null)"
expect "its log is in its namespace" contains ready "$(journalctl --namespace=anoncam --unit anoncam --output cat)"
expect "its log is in memory" test -z "$(find /var/log/journal -name '*.journal' -path '*anoncam*' 2> /dev/null)"
expect "and nowhere else" test -z "$(journalctl --quiet --output cat _COMM=anoncam)"
expect "it stops" systemctl stop anoncam
expect "as it was told" contains success "$(systemctl show --property Result anoncam)"
exit "$failed"
