# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""System Health: CPU, memory, disks, network, load, processes and units of every host."""

from __future__ import annotations

from lab.dashboards.board import Board, Row, deployment, host
from lab.dashboards.kit import column, graph, number, on_right_axis, prom, records
from lab.dashboards.system_detail import DISK, LOGS, NETWORK, PROCESSES
from lab.dashboards.system_queries import BUSY, DISKS, MEMORY_USED, NODE, RATE, pressure, share_free

__all__ = ["BOARD"]

_NOW = Row(
    "Now",
    [
        (
            10,
            column(
                column(
                    column(
                        column(
                            column(
                                records(
                                    "Hosts",
                                    "Each host at a glance: shares in use, load for each core, "
                                    "time since its start.",
                                    "percentunit",
                                    prom(f"max by (host) ({BUSY})", instant=True),
                                    prom(f"max by (host) ({MEMORY_USED})", instant=True),
                                    prom(
                                        f"1 - min by (host) ({share_free('avail_bytes', 'size_bytes')})",
                                        instant=True,
                                    ),
                                    prom(
                                        f"max by (host) (node_load1{{{NODE}}}) / count by (host) "
                                        f'(node_cpu_seconds_total{{{NODE}, mode="idle"}})',
                                        instant=True,
                                    ),
                                    prom(
                                        f"time() - max by (host) (node_boot_time_seconds{{{NODE}}})",
                                        instant=True,
                                    ),
                                    columns={
                                        "host": "Host",
                                        "Value #A": "CPU",
                                        "Value #B": "Memory",
                                        "Value #C": "Fullest disk",
                                        "Value #D": "Load per core",
                                        "Value #E": "Running for",
                                    },
                                    size=(16, 7),
                                    sort="CPU",
                                ),
                                "CPU",
                                levels=[(None, "green"), (0.7, "orange"), (0.8, "red")],
                            ),
                            "Memory",
                            levels=[(None, "green"), (0.85, "orange"), (0.95, "red")],
                        ),
                        "Fullest disk",
                        levels=[(None, "green"), (0.8, "orange"), (0.9, "red")],
                    ),
                    "Load per core",
                    unit="short",
                ),
                "Running for",
                unit="s",
            ),
        ),
        (
            11,
            number(
                "Hosts that answer",
                "Hosts whose node exporter answers.",
                "short",
                prom(f"sum(up{{{NODE}}})"),
                curve=False,
                size=(4, 7),
            ),
        ),
        (
            12,
            number(
                "Failed units",
                "systemd units in state failed, on all chosen hosts.",
                "short",
                prom(f'sum(node_systemd_units{{{NODE}, state="failed"}})'),
                levels=[(None, "green"), (1, "red")],
                size=(4, 7),
            ),
        ),
    ],
)
_ALERTS = Row(
    "What the alerts judge",
    [
        (
            1,
            on_right_axis(
                graph(
                    "Free disk space",
                    "Share that services can still write (the reserve of root is not counted), of "
                    "file systems that can fill up. The alert's limit is 10 %. Dashed: what it will "
                    "be in 24 hours if the last 6 go on.",
                    "percentunit",
                    prom(share_free("avail_bytes", "size_bytes"), "{{host}} {{mountpoint}}"),
                    prom(
                        "clamp_min(min by (host, mountpoint) (predict_linear("
                        f"node_filesystem_avail_bytes{{{DISKS}}}[6h], 86400) "
                        f"/ (node_filesystem_size_bytes{{{DISKS}}} > 0)), 0)",
                        "{{host}} {{mountpoint}} in 24 h",
                    ),
                    levels=[(None, "red"), (0.1, "transparent")],
                    high=1,
                    size=(24, 9),
                ),
                ".* in 24 h",
                "percentunit",
                1,
            ),
        ),
        (
            2,
            on_right_axis(
                graph(
                    "Available memory",
                    "What programs can still get without swapping; the alert's limit is 100 MiB. "
                    "Dashed: the same as a share of all memory.",
                    "bytes",
                    prom(f"node_memory_MemAvailable_bytes{{{NODE}}}", "{{host}}"),
                    prom(
                        f"node_memory_MemAvailable_bytes{{{NODE}}} "
                        f"/ node_memory_MemTotal_bytes{{{NODE}}}",
                        "{{host}} share",
                    ),
                    levels=[(None, "red"), (104857600, "transparent")],
                ),
                ".* share",
                "percentunit",
                1,
            ),
        ),
        (
            3,
            graph(
                "CPU in use",
                "Share of all cores together that is not idle, over 5 minutes; the alert's limit is 80 %.",
                "percentunit",
                prom(BUSY, "{{host}}"),
                levels=[(None, "green"), (0.8, "red")],
                high=1,
            ),
        ),
    ],
)
_CPU = Row(
    "CPU and load",
    [
        (
            20,
            graph(
                "CPU by kind",
                "Cores that are busy, by what keeps them busy. Much iowait is a slow disk, steal is "
                "a neighbour on the same machine.",
                "short",
                prom(
                    f'sum by (mode) (rate(node_cpu_seconds_total{{{NODE}, mode!="idle"}}[{RATE}]))',
                    "{{mode}}",
                ),
                stacked=True,
                size=(8, 8),
            ),
        ),
        (
            21,
            graph(
                "Load",
                "Processes that run or wait, over 1, 5 and 15 minutes; above the number of cores "
                "they wait for each other.",
                "short",
                prom(f"node_load1{{{NODE}}}", "{{host}} 1m"),
                prom(f"node_load5{{{NODE}}}", "{{host}} 5m"),
                prom(f"node_load15{{{NODE}}}", "{{host}} 15m"),
                size=(8, 8),
            ),
        ),
        (
            22,
            graph(
                "Pressure",
                "Share of time in which some process waited for CPU, memory or disk. What users feel.",
                "percentunit",
                prom(pressure("cpu_waiting"), "{{host}} CPU"),
                prom(pressure("memory_waiting"), "{{host}} memory"),
                prom(pressure("io_waiting"), "{{host}} disk"),
                size=(8, 8),
            ),
        ),
    ],
)
_MEMORY = Row(
    "Memory",
    [
        (
            30,
            graph(
                "Memory in use",
                "Share of memory that is not available.",
                "percentunit",
                prom(MEMORY_USED, "{{host}}"),
                high=1,
                size=(8, 8),
            ),
        ),
        (
            31,
            graph(
                "Swap in use",
                "Memory that was moved to disk.",
                "bytes",
                prom(
                    f"node_memory_SwapTotal_bytes{{{NODE}}} - node_memory_SwapFree_bytes{{{NODE}}}",
                    "{{host}}",
                ),
                size=(8, 8),
            ),
        ),
        (
            32,
            graph(
                "Killed for memory",
                "Processes that the kernel killed because memory ran out, within the hour before.",
                "short",
                prom(f"increase(node_vmstat_oom_kill{{{NODE}}}[1h])", "{{host}}"),
                levels=[(None, "green"), (1, "red")],
                size=(8, 8),
            ),
        ),
    ],
)
BOARD = Board(
    uid="koprogo-system",
    about="Every host: CPU, memory, disks, network, load, processes.",
    variables=[deployment(), host("node")],
    rows=[_NOW, _ALERTS, _CPU, _MEMORY, DISK, NETWORK, PROCESSES, LOGS],
)
