# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Business Metrics: users, expenses and payments, asked of the database every minute."""

from __future__ import annotations

from lab.dashboards.board import Board, Row, deployment
from lab.dashboards.kit import graph, number, prom

__all__ = ["BOARD"]

_DB = 'job="koprogo-business", deployment=~"$deployment"'


def _of(metric: str, window: str = "") -> str:
    selector = f'{_DB}, window="{window}"' if window else _DB
    return f"sum(koprogo_{metric}{{{selector}}})"


_NOW = Row(
    "Now",
    [
        (1, number("Users", "Registered users.", "short", prom(_of("users")))),
        (
            2,
            number(
                "New users, 24 h",
                "Users who registered within the last 24 hours.",
                "short",
                prom(_of("users_new", "1d")),
            ),
        ),
        (
            3,
            number(
                "Active users, 24 h (DAU)",
                "Users who were seen within the last 24 hours.",
                "short",
                prom(_of("users_active", "1d")),
            ),
        ),
        (
            4,
            number(
                "Active users, 30 days (MAU)",
                "Users who were seen within the last 30 days.",
                "short",
                prom(_of("users_active", "30d")),
            ),
        ),
        (
            5,
            number(
                "Paid on time",
                "Share of the payments due within the last 30 days that came in time.",
                "percentunit",
                prom(f"min(koprogo_payments_on_time_ratio{{{_DB}}})"),
                levels=[(None, "red"), (0.8, "orange"), (0.9, "green")],
                decimals=1,
            ),
        ),
        (
            6,
            number(
                "Overdue payments",
                "Payments that are due and not paid.",
                "short",
                prom(_of("payments_overdue")),
                levels=[(None, "green"), (1, "orange")],
            ),
        ),
    ],
)
_USERS = Row(
    "Users",
    [
        (
            10,
            graph(
                "New users per day",
                "Users who registered within the 24 hours before; and the mean per day of 7 and of 30 days.",
                "short",
                prom(_of("users_new", "1d"), "24 hours"),
                prom(f"{_of('users_new', '7d')} / 7", "mean of 7 days"),
                prom(f"{_of('users_new', '30d')} / 30", "mean of 30 days"),
            ),
        ),
        (
            11,
            graph(
                "Active users",
                "Users who were seen within the 1, 7 and 30 days before.",
                "short",
                prom(_of("users_active", "1d"), "1 day (DAU)"),
                prom(_of("users_active", "7d"), "7 days"),
                prom(_of("users_active", "30d"), "30 days (MAU)"),
            ),
        ),
        (
            12,
            graph(
                "DAU / MAU",
                "Share of the month's users who come on a given day: how much of a habit it is.",
                "percentunit",
                prom(f"{_of('users_active', '1d')} / {_of('users_active', '30d')}", "DAU / MAU"),
                high=1,
            ),
        ),
        (
            13,
            graph(
                "Registered users",
                "All users, active or not.",
                "short",
                prom(_of("users"), "users"),
                low=None,
            ),
        ),
    ],
)
_MONEY = Row(
    "Expenses and payments",
    [
        (
            20,
            graph(
                "Expenses per day",
                "Expenses created and validated within the 24 hours before.",
                "short",
                prom(_of("expenses_created", "1d"), "created"),
                prom(_of("expenses_validated", "1d"), "validated"),
            ),
        ),
        (
            21,
            graph(
                "Expenses that wait",
                "Expenses that were created and are not validated. A growing number is work left undone.",
                "short",
                prom(_of("expenses_pending"), "waiting"),
            ),
        ),
        (
            22,
            graph(
                "Validated of created",
                "Validated expenses for each created one, of 7 and of 30 days; below 100 % the pile grows.",
                "percentunit",
                *(
                    prom(
                        f"{_of('expenses_validated', window)} / {_of('expenses_created', window)}",
                        window,
                    )
                    for window in ("7d", "30d")
                ),
            ),
        ),
        (
            23,
            graph(
                "Paid on time",
                "Share of the payments due within the 30 days before that came in time.",
                "percentunit",
                prom(f"min(koprogo_payments_on_time_ratio{{{_DB}}})", "on time"),
                high=1,
            ),
        ),
    ],
)
_SOURCE = Row(
    "Are these figures fresh",
    [
        (
            30,
            graph(
                "Age of the figures",
                "Time since the database was asked. The figures above are as old as this.",
                "s",
                prom(
                    f"time() - koprogo_business_collected_timestamp_seconds{{{_DB}}}",
                    "{{host}} {{database}}",
                ),
            ),
        ),
        (
            31,
            graph(
                "Questions that failed",
                "Queries that the database did not answer at the last collection.",
                "short",
                prom(f"sum by (host) (sql_exporter_last_scrape_failed{{{_DB}}})", "{{host}}"),
                levels=[(None, "green"), (1, "red")],
            ),
        ),
    ],
)

BOARD = Board(
    uid="koprogo-business",
    about="Users, expenses, payments: what the product does for its customers.",
    variables=[deployment()],
    since="now-7d",
    refresh="5m",
    rows=[_NOW, _USERS, _MONEY, _SOURCE],
)
