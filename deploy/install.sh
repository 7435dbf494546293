#!/bin/sh
# Puts the server and what belongs to it in their places, and starts nothing:
#
#   deploy/install.sh PROGRAM [ROOT]
#
# PROGRAM is the built server (target/release/anoncam); ROOT is where the machine's files begin, / unless given. Run it again to
# install a newer version: a configuration that is there stays as it is.
set -eu
program=${1:?the path of the built program, such as target/release/anoncam}
root=${2:-}
root=${root%/}
here=$(dirname "$0")

# Only root can give files to somebody; a ROOT that is packed or looked at needs no owner.
own() { if [ -z "$root" ]; then chown "$@"; fi; }

put() { # FILE DESTINATION
  install -D -m 644 "$here/$1" "$root$2"
}

install -D -m 755 "$program" "$root/usr/local/bin/anoncam"
put anoncam.service /etc/systemd/system/anoncam.service
put anoncam-sysusers.conf /etc/sysusers.d/anoncam.conf
put anoncam-tmpfiles.conf /etc/tmpfiles.d/anoncam.conf
put anoncam-sysctl.conf /etc/sysctl.d/anoncam.conf
put journald@anoncam.conf /etc/systemd/journald@anoncam.conf
put nftables.conf /etc/nftables.d/anoncam.conf

# What the server sees as the root of all files: systemd mounts the rest into it.
install -d -m 755 "$root/usr/local/lib/anoncam"
if [ -z "$root" ]; then systemd-sysusers /etc/sysusers.d/anoncam.conf; fi

# With [acme]: the account and the certificate.
install -d -m 700 "$root/var/lib/anoncam"
own anoncam:anoncam "$root/var/lib/anoncam"

install -d -m 750 "$root/etc/anoncam"
own root:anoncam "$root/etc/anoncam"
if [ ! -e "$root/etc/anoncam/anoncam.toml" ]; then
  install -m 640 "$here/anoncam.toml" "$root/etc/anoncam/anoncam.toml"
  own root:anoncam "$root/etc/anoncam/anoncam.toml"
fi

if [ -z "$root" ]; then
  systemctl daemon-reload
  sysctl --quiet --load=/etc/sysctl.d/anoncam.conf || echo "not every setting of the kernel could be set; anoncam says at its start what it lacks"
fi
echo "installed; next: edit $root/etc/anoncam/anoncam.toml"
