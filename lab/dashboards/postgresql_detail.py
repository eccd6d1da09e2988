# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lower rows of PostgreSQL Performance: statements, maintenance, log."""

from __future__ import annotations

from lab.dashboards.board import Row
from lab.dashboards.kit import (
    column,
    graph,
    lines,
    log_metric,
    log_panel,
    number,
    or_else,
    prom,
    records,
)
from lab.dashboards.links import DATABASE_LOG

__all__ = ["LOGS", "MAINTENANCE", "STATEMENTS"]

_PG = 'job="postgresql", deployment=~"$deployment", host=~"$host"'
_DB = f'{_PG}, datname=~"$datname"'
_RATE = "$__rate_interval"
# PostgreSQL writes a statement that took longer than log_min_duration_statement.
_SLOW = (
    f'{{{DATABASE_LOG}}} |= "duration: " | regexp "duration: (?P<ms>[0-9.]+) ms" '
    '| ms > 1000 | __error__=""'
)


def _statements(counter: str, window: str) -> str:
    return (
        "sum by (host, datname, user, queryid) "
        f"(increase(pg_stat_statements_{counter}_total{{{_DB}}}[{window}]))"
    )


STATEMENTS = Row(
    "Slow statements",
    [
        (
            50,
            graph(
                "Statements slower than 1 s",
                "Counted from the lines of PostgreSQL's log, of 5 minutes.",
                "short",
                log_metric(f"sum(count_over_time({_SLOW} [5m])) or vector(0)", "slower than 1 s"),
                drawn_as_bars=True,
                size=(8, 8),
            ),
        ),
        (
            51,
            or_else(
                log_panel(
                    "Statements slower than 1 s, with their text",
                    "Newest first. EXPLAIN (ANALYZE, BUFFERS) one of them to see where its time goes.",
                    lines(_SLOW),
                    size=(16, 8),
                ),
                "No slow statements.",
            ),
        ),
        (
            52,
            column(
                column(
                    records(
                        "Statements that took most time",
                        "From pg_stat_statements (postgres_exporter_stat_statements: true). Find the "
                        "text: SELECT query FROM pg_stat_statements WHERE queryid = …",
                        "s",
                        prom(f"topk(15, {_statements('seconds', '$__range')})", instant=True),
                        prom(
                            f"{_statements('seconds', '$__range')} "
                            f"/ ({_statements('calls', '$__range')} > 0)",
                            instant=True,
                        ),
                        prom(_statements("calls", "$__range"), instant=True),
                        columns={
                            "datname": "Database",
                            "user": "User",
                            "queryid": "Statement",
                            "Value #A": "Total",
                            "Value #B": "Mean",
                            "Value #C": "Calls",
                        },
                        sort="Total",
                        empty="postgres_exporter_stat_statements is off, or the extension is missing.",
                        size=(24, 8),
                    ),
                    "Calls",
                    unit="short",
                ),
                "Mean",
                levels=[(None, "green"), (0.1, "orange"), (1, "red")],
            ),
        ),
    ],
)
MAINTENANCE = Row(
    "Maintenance",
    [
        (
            60,
            graph(
                "Checkpoints",
                "Checkpoints within the 10 minutes before: timed ones are normal, requested ones mean "
                "max_wal_size is too small.",
                "short",
                # PostgreSQL 17 counts them in a view of its own.
                prom(
                    f"sum by (host) (increase(pg_stat_bgwriter_checkpoints_timed_total{{{_PG}}}[10m])) "
                    "or sum by (host) "
                    f"(increase(pg_stat_checkpointer_num_timed_total{{{_PG}}}[10m]))",
                    "{{host}} timed",
                ),
                prom(
                    f"sum by (host) (increase(pg_stat_bgwriter_checkpoints_req_total{{{_PG}}}[10m])) "
                    "or sum by (host) "
                    f"(increase(pg_stat_checkpointer_num_requested_total{{{_PG}}}[10m]))",
                    "{{host}} requested",
                ),
                size=(8, 8),
            ),
        ),
        (
            61,
            graph(
                "Buffers",
                "Blocks of memory per second: newly used, and written by the background writer.",
                "ops",
                prom(
                    f"sum by (host) (rate(pg_stat_bgwriter_buffers_alloc_total{{{_PG}}}[{_RATE}]))",
                    "{{host}} newly used",
                ),
                prom(
                    f"sum by (host) (rate(pg_stat_bgwriter_buffers_clean_total{{{_PG}}}[{_RATE}]))",
                    "{{host}} background writer",
                ),
                size=(8, 8),
            ),
        ),
        (
            62,
            graph(
                "WAL archive",
                "Segments that could not be archived within the hour before. Anything but 0 fills the disk.",
                "short",
                prom(
                    f"sum by (host) (increase(pg_stat_archiver_failed_count{{{_PG}}}[1h]))",
                    "{{host}}",
                ),
                levels=[(None, "green"), (1, "red")],
                size=(8, 8),
            ),
        ),
        (
            63,
            or_else(
                graph(
                    "Dead rows",
                    "Rows that vacuum has still to clean, the ten worst tables.",
                    "short",
                    prom(
                        "topk(10, max by (host, datname, relname) "
                        f"(pg_stat_user_tables_n_dead_tup{{{_DB}}}))",
                        "{{datname}} {{relname}}",
                    ),
                    size=(8, 8),
                ),
                "postgres_exporter reports tables from 0.12 on.",
            ),
        ),
        (
            64,
            graph(
                "Sessions that ended badly",
                "Sessions per hour that were lost, killed, or ended by a fatal error.",
                "short",
                *(
                    prom(
                        f"sum by (host) (increase(pg_stat_database_sessions_{how}{{{_DB}}}[1h]))",
                        f"{{{{host}}}} {how}",
                    )
                    for how in ("abandoned", "fatal", "killed")
                ),
                size=(8, 8),
            ),
        ),
        (
            65,
            number(
                "Settings",
                "What the server runs with.",
                "bytes",
                prom(
                    f"max by (host) (pg_settings_shared_buffers_bytes{{{_PG}}})", "shared_buffers"
                ),
                prom(f"max by (host) (pg_settings_work_mem_bytes{{{_PG}}})", "work_mem"),
                prom(
                    f"max by (host) (pg_settings_effective_cache_size_bytes{{{_PG}}})",
                    "effective_cache_size",
                ),
                prom(f"max by (host) (pg_settings_max_wal_size_bytes{{{_PG}}})", "max_wal_size"),
                curve=False,
                size=(8, 8),
            ),
        ),
    ],
)
LOGS = Row(
    "Log",
    [
        (
            70,
            or_else(
                log_panel(
                    "Errors",
                    "Lines with ERROR, FATAL or PANIC, newest first.",
                    lines(f'{{{DATABASE_LOG}}} |~ "ERROR|FATAL|PANIC"'),
                    size=(12, 9),
                ),
                "No errors.",
            ),
        ),
        (
            71,
            log_panel(
                "PostgreSQL's log",
                "Everything that the server wrote, newest first.",
                lines(f"{{{DATABASE_LOG}}}"),
                size=(12, 9),
            ),
        ),
    ],
)
