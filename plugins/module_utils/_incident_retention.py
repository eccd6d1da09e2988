# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Which records of incidents go: old ones, and more than anybody will read. No rule looks back at them."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["JUDGED", "Retention"]

#: What of a record is looked at.
JUDGED = ("id", "started", "ended", "outcome", "runs", "actions")

_DAY = 86_400.0
# Of each sort, whatever their age: the clock of who wrote them may be wrong.
_NEWEST = 20


@dataclass(frozen=True, kw_only=True)
class Retention:
    """For how many C(days) a record stays, and how many C(records) do, of runs that acted and of others."""

    days: float
    records: int

    @staticmethod
    def of(*, days: float, records: int) -> Retention:
        """With limits that are never too low: a record is not lost for a slip in an option.

        The limit comes first: the maximum of it and C(nan) is the limit, and not the other way round.
        """
        return Retention(days=min(max(30.0, days), 36_500.0), records=max(records, 50))

    def expired(
        self, records: Sequence[Mapping[str, Any]], *, now: float, opened: Collection[str]
    ) -> list[str]:
        """The ids of those that go. ``opened`` are the actions whose breakers are open: theirs stay.

        So do those without an outcome. A storm of refusals drives out refusals, and nothing that was done.
        """
        before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - self.days * _DAY))
        gone: list[str] = []
        for acted in (True, False):
            sort = sorted(
                (record for record in records if bool(record.get("runs")) == acted),
                key=lambda record: (_time(record), str(record["id"])),
                reverse=True,
            )
            gone += [
                str(record["id"])
                for place, record in enumerate(sort)
                if place >= _NEWEST
                and (place >= self.records or _time(record) < before)
                and record.get("outcome")
                and not {row.get("action") for row in record.get("actions") or ()} & set(opened)
            ]
        return gone


def _time(record: Mapping[str, Any]) -> str:
    return str(record.get("ended") or record.get("started") or "")
