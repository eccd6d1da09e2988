# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL Performance: sessions, cache, size and growth, transactions, locks, slow statements.

The exporter of Debian 12 (0.11) labels its series with C(server), the one of Debian 13 (0.17) adds
users and wait events to sessions: everything is summed by host and database, so both look the same.
A row without a database may hold NaN, which would silence a whole sum: C(>= 0) leaves it out.
"""

from __future__ import annotations

from lab.dashboards.board import Board, Row, Variable, deployment, host
from lab.dashboards.kit import graph, log_metric, number, on_right_axis, prom, states
from lab.dashboards.links import DATABASE_LOG
from lab.dashboards.postgresql_detail import LOGS, MAINTENANCE, STATEMENTS

__all__ = ["BOARD"]

_PG = 'job="postgresql", deployment=~"$deployment", host=~"$host"'
_DB = f'{_PG}, datname=~"$datname"'
_RATE = "$__rate_interval"


def _rate(counter: str, window: str = _RATE, by: str = "host, datname") -> str:
    return f"sum by ({by}) (rate(pg_stat_database_{counter}{{{_DB}}}[{window}]))"


_HIT_RATIO = (
    f"{_rate('blks_hit', '5m')} / ({_rate('blks_hit', '5m')} + {_rate('blks_read', '5m')} > 0)"
)
_SESSIONS = f"sum by (host) (pg_stat_activity_count{{{_PG}}} >= 0)"
_PLACES = (
    f"max by (host) (pg_settings_max_connections{{{_PG}}}) "
    f"- max by (host) (pg_settings_superuser_reserved_connections{{{_PG}}})"
)
_SIZE = f"max by (host, datname) (pg_database_size_bytes{{{_DB}}})"

_NOW = Row(
    "Now",
    [
        (
            10,
            number(
                "Places taken",
                "Share of the connections that ordinary users may have; superusers' reserve is not counted.",
                "percentunit",
                prom(f"max({_SESSIONS} / ({_PLACES}))"),
                levels=[(None, "green"), (0.7, "orange"), (0.85, "red")],
                decimals=0,
            ),
        ),
        (
            11,
            number(
                "Cache hits",
                "Share of blocks that were found in PostgreSQL's own memory; should be above 90 %.",
                "percentunit",
                prom(f"min({_HIT_RATIO})"),
                levels=[(None, "red"), (0.9, "orange"), (0.95, "green")],
                decimals=1,
            ),
        ),
        (
            12,
            number("Size", "Size of the chosen databases.", "bytes", prom(f"sum({_SIZE})")),
        ),
        (
            13,
            number(
                "Transactions",
                "Transactions per second, committed and rolled back.",
                "ops",
                prom(f"sum({_rate('xact_commit')}) + sum({_rate('xact_rollback')})"),
                decimals=1,
            ),
        ),
        (
            14,
            number(
                "Longest transaction",
                "Age of the oldest transaction: a long one holds locks and keeps vacuum from cleaning.",
                "s",
                prom(f"max(pg_stat_activity_max_tx_duration{{{_DB}}})"),
                levels=[(None, "green"), (60, "orange"), (600, "red")],
            ),
        ),
        (
            15,
            number(
                "Deadlocks",
                "Deadlocks of the chosen time; PostgreSQL ended one session for each.",
                "short",
                prom(f"sum(increase(pg_stat_database_deadlocks{{{_DB}}}[$__range]))", instant=True),
                levels=[(None, "green"), (1, "orange")],
                decimals=0,
                curve=False,
            ),
        ),
    ],
)
_ALERTS = Row(
    "What the alerts judge",
    [
        (
            1,
            states(
                "Is the database up",
                "The exporter's scrape, and whether it reaches PostgreSQL: either can die alone.",
                prom(f"up{{{_PG}}}", "{{host}} exporter"),
                prom(f"max by (host) (pg_up{{{_PG}}})", "{{host}} PostgreSQL"),
            ),
        ),
        (
            2,
            graph(
                "Connections",
                "Sessions of all states and databases together; the alert's limit is 80. Also: how "
                "many ordinary users may have.",
                "short",
                prom(_SESSIONS, "{{host}} all sessions"),
                prom(_PLACES, "{{host}} places"),
                levels=[(None, "green"), (80, "red")],
            ),
        ),
        (
            3,
            graph(
                "Errors in the log",
                "Lines with ERROR, FATAL or PANIC in PostgreSQL's log of 5 minutes; the alert's limit is 10.",
                "short",
                log_metric(
                    f'sum by (host) (count_over_time({{{DATABASE_LOG}}} |~ "(ERROR|FATAL|PANIC):" [5m])) '
                    "or on () vector(0)",
                    "{{host}} errors",
                ),
                levels=[(None, "green"), (10, "red")],
                drawn_as_bars=True,
            ),
        ),
        (
            20,
            graph(
                "Sessions by state",
                "What the sessions do. Many that are idle in transaction are a leak in the application.",
                "short",
                prom(
                    f"sum by (state) (pg_stat_activity_count{{{_DB}}} >= 0) > 0",
                    "{{state}}",
                ),
                stacked=True,
            ),
        ),
    ],
)
_WORK = Row(
    "Work",
    [
        (
            30,
            graph(
                "Transactions",
                "Transactions per second by how they ended.",
                "ops",
                prom(_rate("xact_commit"), "{{datname}} committed"),
                prom(_rate("xact_rollback"), "{{datname}} rolled back"),
                size=(8, 8),
            ),
        ),
        (
            31,
            graph(
                "Cache hit ratio",
                "Share of blocks that were found in PostgreSQL's memory; should be above 90 %. Empty "
                "while nothing is read.",
                "percentunit",
                prom(_HIT_RATIO, "{{host}} {{datname}}"),
                levels=[(None, "red"), (0.9, "transparent")],
                low=None,
                high=1,
                size=(8, 8),
            ),
        ),
        (
            32,
            graph(
                "Rows",
                "Rows per second, by what was done with them.",
                "ops",
                *(
                    prom(_rate(f"tup_{what}", by="host"), f"{{{{host}}}} {what}")
                    for what in ("fetched", "inserted", "updated", "deleted")
                ),
                size=(8, 8),
            ),
        ),
        (
            33,
            graph(
                "Size and growth",
                "Size of each database; dashed, what it would be in 30 days if the last 6 hours go on.",
                "bytes",
                prom(_SIZE, "{{host}} {{datname}}"),
                prom(
                    "clamp_min(max by (host, datname) "
                    f"(predict_linear(pg_database_size_bytes{{{_DB}}}[6h], 2592000)), 0)",
                    "{{host}} {{datname}} in 30 days",
                ),
                size=(8, 8),
            ),
        ),
        (
            34,
            graph(
                "Growth per day",
                "How fast each database grows, from the last 6 hours.",
                "bytes",
                prom(
                    f"max by (host, datname) (deriv(pg_database_size_bytes{{{_DB}}}[6h])) * 86400",
                    "{{host}} {{datname}}",
                ),
                low=None,
                size=(8, 8),
            ),
        ),
        (
            35,
            on_right_axis(
                graph(
                    "Temporary files",
                    "Bytes per second written by sorts and hashes that did not fit into memory. "
                    "Dashed: files per second.",
                    "Bps",
                    prom(_rate("temp_bytes"), "{{datname}} bytes"),
                    prom(_rate("temp_files"), "{{datname}} files"),
                    size=(8, 8),
                ),
                ".* files",
                "ops",
            ),
        ),
    ],
)
_LOCKS = Row(
    "Locks and waiting",
    [
        (
            40,
            graph(
                "Locks by mode",
                "Locks that are held or waited for. Exclusive ones stop others.",
                "short",
                prom(f"sum by (mode) (pg_locks_count{{{_DB}}})", "{{mode}}"),
                stacked=True,
                size=(8, 8),
            ),
        ),
        (
            41,
            graph(
                "Longest transaction by state",
                "Age of the oldest transaction in each state.",
                "s",
                prom(
                    f"max by (host, state) (pg_stat_activity_max_tx_duration{{{_DB}}})",
                    "{{host}} {{state}}",
                ),
                size=(8, 8),
            ),
        ),
        (
            42,
            graph(
                "Deadlocks and conflicts",
                "Deadlocks, and queries that a standby cancelled, within the 5 minutes before.",
                "short",
                prom(
                    f"sum by (host) (increase(pg_stat_database_deadlocks{{{_DB}}}[5m]))",
                    "{{host}} deadlocks",
                ),
                prom(
                    f"sum by (host) (increase(pg_stat_database_conflicts{{{_DB}}}[5m]))",
                    "{{host}} conflicts",
                ),
                size=(8, 8),
            ),
        ),
    ],
)

BOARD = Board(
    uid="koprogo-postgresql",
    about="PostgreSQL: sessions, cache, size and growth, transactions, locks, slow statements.",
    variables=[
        deployment(),
        host("postgresql"),
        Variable(
            name="datname",
            label="Database",
            query=(
                'label_values(pg_database_size_bytes{job="postgresql", deployment=~"$deployment"}, '
                "datname)"
            ),
            regex="/^(?!template)/",
            # "All" means the databases of this list: no templates, no sessions without a database.
            all_value="",
        ),
    ],
    rows=[_NOW, _ALERTS, _WORK, _LOCKS, STATEMENTS, MAINTENANCE, LOGS],
)
