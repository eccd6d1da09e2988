# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""What a verification finds: one check, its verdict, the evidence, and where to look."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["MARK", "Check", "Question", "ask_until", "failed", "listed", "passed", "skipped"]

#: Every marked log line begins with this word, so that a reader knows where it came from.
MARK = "koprogo-verify"

_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check on one host. ``result`` is passed, failed or skipped; ``look`` is a command on ``where``."""

    check: str
    where: str
    result: str
    evidence: str
    look: str = ""

    def as_result(self) -> dict[str, Any]:
        """The form that a module returns."""
        return asdict(self)


#: Something to ask, possibly again: a running system needs a moment after a start.
Question = Callable[[], list[Check]]


def passed(check: str, where: str, evidence: str) -> Check:
    """A check that holds."""
    return Check(check=check, where=where, result="passed", evidence=evidence)


def failed(check: str, where: str, evidence: str, look: str) -> Check:
    """A check that doesn't hold, with the command that shows why."""
    return Check(check=check, where=where, result="failed", evidence=evidence, look=look)


def skipped(check: str, where: str, reason: str) -> Check:
    """A check that couldn't be made, and why."""
    return Check(check=check, where=where, result="skipped", evidence=reason)


def listed(items: Iterable[str], most: int = _SHOWN) -> str:
    """The items in one phrase; of a long list the first few and how many there are more."""
    every = list(items)
    shown = ", ".join(every[:most])
    return shown if len(every) <= most else f"{shown} and {len(every) - most} more"


def ask_until(
    questions: Iterable[Question],
    *,
    timeout: float,
    pause: float = 1.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Check]:
    """Ask all questions, and those that fail again until they pass or ``timeout`` seconds are over.

    The answers keep the order of the questions; the last answer of each counts.
    """
    deadline = clock() + timeout
    every = list(questions)
    answers: dict[int, list[Check]] = {}
    open_ones = list(range(len(every)))
    while True:
        for number in open_ones:
            answers[number] = every[number]()
        open_ones = [n for n in open_ones if any(c.result == "failed" for c in answers[n])]
        if not open_ones or clock() + pause > deadline:
            break
        sleep(pause)
    return [check for number in range(len(every)) for check in answers[number]]
