#!/bin/sh
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs in a fresh Debian container and makes it a test host: a small server, as a
# provider delivers it. Usage: setup.sh PACKAGES CACHED_PACKAGES
set -eu
export DEBIAN_FRONTEND=noninteractive

# Container images throw downloaded packages away; servers do not.
rm -f /etc/apt/apt.conf.d/docker-clean
# A crash of the machine loses a test host anyway: no fsync after each file.
echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/lab

# The machine's additional certificate authorities (a company's proxy, say).
install -d /usr/local/share/ca-certificates
if [ -d /opt/lab/ca ]; then
    find /opt/lab/ca -name '*.crt' -exec cp {} /usr/local/share/ca-certificates/ \;
fi

apt-get update -q
# shellcheck disable=SC2086  # lists of words
apt-get install -y -q --no-install-recommends $1
update-ca-certificates

# Fetched now, so that no scenario downloads them again; not installed. A package
# that this release lacks is left out.
known=""
for package in $2; do
    if apt-cache show "$package" > /dev/null 2>&1; then
        known="$known $package"
    fi
done
# shellcheck disable=SC2086
apt-get install -y -q --download-only $known

# A cloud image's way in: a user with a key (added later) and sudo.
useradd --create-home --shell /bin/bash debian
echo 'debian ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/90-debian
chmod 0440 /etc/sudoers.d/90-debian

# Each host makes its own identity when it starts for the first time.
rm -f /etc/ssh/ssh_host_*
install -d /etc/systemd/system/ssh.service.d
cat > /etc/systemd/system/ssh.service.d/host-keys.conf << 'EOF'
[Service]
ExecStartPre=
ExecStartPre=/usr/bin/ssh-keygen -A
ExecStartPre=/usr/sbin/sshd -t
EOF
: > /etc/machine-id
rm -f /var/lib/dbus/machine-id

# Would take apt's lock in the middle of a test.
systemctl mask apt-daily.timer apt-daily-upgrade.timer
systemctl enable ssh.service
