#!/bin/sh
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# An attacker behind a cable: a network namespace with addresses of its own. It is gone when the host restarts.
set -eu
# Containers come without IPv6 and with read-only kernel settings.
mount -o remount,rw /proc/sys
echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6
ip netns add attacker
ip link add att0 type veth peer name eth0 netns attacker
ip address add 198.51.100.1/24 dev att0
ip address add fd42:66::1/64 dev att0 nodad
ip link set att0 up
ip netns exec attacker sh -c 'echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6'
ip -n attacker link set lo up
ip -n attacker link set eth0 up
# The last two are on the allow-list.
for last in $(seq 66 99) 200 201; do
    ip -n attacker address add 198.51.100.$last/24 dev eth0
done
ip -n attacker address add fd42:66::66/64 dev eth0 nodad
ip -n attacker route add default via 198.51.100.1
