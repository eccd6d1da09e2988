# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lower rows of System Health: disks, network, processes, log."""

from __future__ import annotations

from lab.dashboards.board import Row
from lab.dashboards.kit import bars, graph, lines, log_panel, or_else, prom, records
from lab.dashboards.system_queries import BLOCK, NODE, RATE, WIRE, share_free

__all__ = ["DISK", "LOGS", "NETWORK", "PROCESSES"]

DISK = Row(
    "Disks",
    [
        (
            40,
            bars(
                "Disk space in use",
                "Share of each file system that services can no longer write to.",
                "percentunit",
                prom(f"1 - {share_free('avail_bytes', 'size_bytes')}", "{{host}} {{mountpoint}}"),
                levels=[(None, "green"), (0.8, "orange"), (0.9, "red")],
                high=1,
            ),
        ),
        (
            41,
            graph(
                "Free inodes",
                "Share of files that can still be made: without inodes a disk is full as well.",
                "percentunit",
                prom(share_free("files_free", "files"), "{{host}} {{mountpoint}}"),
                levels=[(None, "red"), (0.1, "transparent")],
                high=1,
            ),
        ),
        (
            42,
            graph(
                "Read and written",
                "Bytes per second; read above, written below the line.",
                "Bps",
                prom(
                    f"sum by (host, device) (rate(node_disk_read_bytes_total{{{BLOCK}}}[{RATE}]))",
                    "{{host}} {{device}} read",
                ),
                prom(
                    "-sum by (host, device) "
                    f"(rate(node_disk_written_bytes_total{{{BLOCK}}}[{RATE}]))",
                    "{{host}} {{device}} written",
                ),
                low=None,
                size=(8, 8),
            ),
        ),
        (
            43,
            graph(
                "Disk busy",
                "Share of time in which the disk had something to do.",
                "percentunit",
                prom(
                    f"rate(node_disk_io_time_seconds_total{{{BLOCK}}}[{RATE}])",
                    "{{host}} {{device}}",
                ),
                high=1,
                size=(8, 8),
            ),
        ),
        (
            44,
            or_else(
                graph(
                    "Time of a disk operation",
                    "Mean time of reads and writes. Empty while a disk does nothing.",
                    "s",
                    prom(
                        f"rate(node_disk_read_time_seconds_total{{{BLOCK}}}[5m]) "
                        f"/ (rate(node_disk_reads_completed_total{{{BLOCK}}}[5m]) > 0)",
                        "{{host}} {{device}} read",
                    ),
                    prom(
                        f"rate(node_disk_write_time_seconds_total{{{BLOCK}}}[5m]) "
                        f"/ (rate(node_disk_writes_completed_total{{{BLOCK}}}[5m]) > 0)",
                        "{{host}} {{device}} write",
                    ),
                    size=(8, 8),
                ),
                "Nothing was read or written.",
            ),
        ),
    ],
)
NETWORK = Row(
    "Network",
    [
        (
            50,
            graph(
                "Received and sent",
                "Bytes per second; received above, sent below the line.",
                "Bps",
                prom(
                    f"rate(node_network_receive_bytes_total{{{WIRE}}}[{RATE}])",
                    "{{host}} {{device}} received",
                ),
                prom(
                    f"-rate(node_network_transmit_bytes_total{{{WIRE}}}[{RATE}])",
                    "{{host}} {{device}} sent",
                ),
                low=None,
                size=(8, 8),
            ),
        ),
        (
            51,
            graph(
                "Network errors and drops",
                "Packets per second that were damaged or thrown away.",
                "pps",
                *(
                    prom(
                        f"sum by (host) (rate(node_network_{way}_{kind}_total{{{WIRE}}}[5m]))",
                        f"{{{{host}}}} {way} {kind}",
                    )
                    for way in ("receive", "transmit")
                    for kind in ("errs", "drop")
                ),
                size=(8, 8),
            ),
        ),
        (
            52,
            graph(
                "Tracked connections",
                "Share of the firewall's table of connections that is in use; when it is full, new "
                "connections are dropped.",
                "percentunit",
                prom(
                    f"node_nf_conntrack_entries{{{NODE}}} "
                    f"/ node_nf_conntrack_entries_limit{{{NODE}}}",
                    "{{host}}",
                ),
                size=(8, 8),
            ),
        ),
    ],
)
PROCESSES = Row(
    "Processes, units, files",
    [
        (
            60,
            graph(
                "Processes",
                "Number of processes on each host.",
                "short",
                prom(f"node_processes_pids{{{NODE}}}", "{{host}}"),
                size=(8, 8),
            ),
        ),
        (
            61,
            graph(
                "Processes by state",
                "R runs, S sleeps, D waits for a disk, Z is dead and not yet collected.",
                "short",
                prom(f"sum by (state) (node_processes_state{{{NODE}}})", "{{state}}"),
                stacked=True,
                size=(8, 8),
            ),
        ),
        (
            62,
            graph(
                "Open files",
                "Share of the files that the host may have open.",
                "percentunit",
                prom(
                    f"node_filefd_allocated{{{NODE}}} / node_filefd_maximum{{{NODE}}}", "{{host}}"
                ),
                size=(8, 8),
            ),
        ),
        (
            63,
            records(
                "Units that do not run",
                "Watched units that are failed or starting again and again.",
                "short",
                prom(
                    f'node_systemd_unit_state{{{NODE}, state=~"failed|activating"}} == 1',
                    instant=True,
                ),
                columns={"host": "Host", "name": "Unit", "state": "State"},
                empty="All units run.",
                size=(12, 7),
            ),
        ),
        (
            64,
            graph(
                "Clock",
                "How far each host's clock is from the time that it is told.",
                "s",
                prom(f"node_timex_offset_seconds{{{NODE}}}", "{{host}}"),
                low=None,
                size=(12, 7),
            ),
        ),
    ],
)
LOGS = Row(
    "Logs",
    [
        (
            70,
            or_else(
                log_panel(
                    "Warnings and errors of the journal",
                    "What the hosts' services wrote at level warning or worse, newest first.",
                    lines(
                        '{job=~".+", deployment=~"$deployment", host=~"$host"} '
                        '| severity_text=~"warn.*|err.*|crit.*|alert|emerg.*"'
                    ),
                    labels=True,
                ),
                "No warnings.",
            ),
        )
    ],
)
