# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Selectors and queries of System Health."""

from __future__ import annotations

__all__ = [
    "BLOCK",
    "BUSY",
    "DISKS",
    "MEMORY_USED",
    "NODE",
    "RATE",
    "WIRE",
    "pressure",
    "share_free",
]

NODE = 'job="node", deployment=~"$deployment", host=~"$host"'
# Files that can fill up: no memory, no read-only image, no other host's disk.
DISKS = (
    f"{NODE}, fstype!~"
    '"(tmp|dev|ram|squash|auto|proc|sys)fs|devtmpfs|overlay|vfat|iso9660|udf|nfs.*|cifs|smb.*|fuse.*"'
)
WIRE = f'{NODE}, device!~"lo|veth.*|br-.*|docker.*|cali.*|tap.*"'
BLOCK = f'{NODE}, device!~"loop.*|ram.*|zram.*|sr.*|fd.*|dm-.*"'
RATE = "$__rate_interval"


def share_free(metric: str, total: str) -> str:
    return (
        f"min by (host, mountpoint) (node_filesystem_{metric}{{{DISKS}}} "
        f"/ (node_filesystem_{total}{{{DISKS}}} > 0))"
    )


def pressure(kind: str) -> str:
    return f"rate(node_pressure_{kind}_seconds_total{{{NODE}}}[5m])"


BUSY = f'1 - avg by (host) (rate(node_cpu_seconds_total{{{NODE}, mode="idle"}}[5m]))'
MEMORY_USED = f"1 - node_memory_MemAvailable_bytes{{{NODE}}} / node_memory_MemTotal_bytes{{{NODE}}}"
