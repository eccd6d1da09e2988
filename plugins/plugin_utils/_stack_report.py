# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the checks of all hosts to a table that a person can read.

This file is private to the collection.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Row", "counts", "failures", "rows", "table"]

_NAMED_HOSTS = 3
_WORDS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}
_NARROWEST = 40


@dataclass(frozen=True, kw_only=True)
class Row:
    """One check with one verdict, on one host or on several that agree."""

    check: str
    where: str
    hosts: tuple[str, ...]
    result: str
    evidence: str
    look: str = ""

    def as_result(self) -> dict[str, Any]:
        """The form that the task returns."""
        return {**asdict(self), "hosts": list(self.hosts)}


def _where(hosts: Sequence[str]) -> str:
    return ", ".join(hosts) if len(hosts) <= _NAMED_HOSTS else f"{len(hosts)} hosts"


def _evidence(checks: Sequence[Mapping[str, Any]]) -> str:
    """What was seen, once when the hosts agree, by host when they are few."""
    distinct = list(dict.fromkeys(str(check["evidence"]) for check in checks))
    if len(distinct) == 1:
        return distinct[0]
    if len(checks) <= _NAMED_HOSTS:
        return "; ".join(f"{check['where']}: {check['evidence']}" for check in checks)
    return f"{distinct[0]} on {checks[0]['where']}, alike on the others"


def rows(checks: Iterable[Mapping[str, Any]]) -> list[Row]:
    """One row for each check and verdict, in the order of their first appearance.

    Hosts that passed or skipped a check share a row. Every failure has its own,
    once: a daemon that is down is the same answer to every question.
    """
    order: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for check in checks:
        alike = order.setdefault(str(check["check"]), {}).setdefault(str(check["result"]), [])
        if check not in alike:
            alike.append(check)
    result: list[Row] = []
    for name, verdicts in order.items():
        for verdict in ("failed", "skipped", "passed"):
            found = verdicts.get(verdict, [])
            groups = [[one] for one in found] if verdict == "failed" else [found] if found else []
            for group in groups:
                hosts = tuple(dict.fromkeys(str(one["where"]) for one in group))
                result.append(
                    Row(
                        check=name,
                        where=_where(hosts),
                        hosts=hosts,
                        result=verdict,
                        evidence=_evidence(group),
                        look=str(group[0].get("look", "")) if verdict == "failed" else "",
                    )
                )
    return result


def counts(found: Iterable[Row]) -> dict[str, int]:
    """Number of rows with each verdict."""
    number = Counter(row.result for row in found)
    return {verdict: number[verdict] for verdict in _WORDS}


def table(found: Sequence[Row], width: int) -> str:
    """The rows as text of at most ``width`` columns; long evidence goes on below itself."""
    head = ("check", "where", "result", "evidence")
    cells = [(row.check, row.where, _WORDS[row.result], row.evidence) for row in found]
    sizes = [max(len(line[i]) for line in [head, *cells]) for i in range(3)]
    room = max(width - sum(sizes) - 6, _NARROWEST)
    lines = []
    for cell in [head, (*tuple("-" * size for size in sizes), "-" * min(room, 30)), *cells]:
        start = "  ".join(text.ljust(size) for text, size in zip(cell, sizes, strict=False))
        evidence = textwrap.wrap(" ".join(cell[3].split()), room) or [""]
        lines.append(f"{start}  {evidence[0]}".rstrip())
        lines += [" " * (len(start) + 2) + more for more in evidence[1:]]
    return "\n".join(lines)


def failures(found: Iterable[Row]) -> list[str]:
    """For each failed row what is wrong, and the command that shows why."""
    messages = []
    for row in found:
        if row.result == "failed":
            # A command is for the host of the check, unless it says where else it belongs.
            place = "" if row.look.startswith("on the ") else f"on {row.where}: "
            look = f"\n   look {place}{row.look}" if row.look else ""
            messages.append(f"{row.check}, {row.where}: {row.evidence}{look}")
    return messages
