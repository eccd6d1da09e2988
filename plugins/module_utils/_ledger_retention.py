# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""What a ledger that has grown long still needs: all that a rule can look back at, and the newest.

It counts runs and not days: a clock that ran ahead must not make anything old. What stays of an action is
its end, without a hole in it, and the row of failures that decides on its breaker, so that each rule finds
what it would have found, within whatever limits.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._ledger_rules import (
    INEFFECTIVE,
    MOST_RUNS,
    runs_of,
)

__all__ = ["NEWEST", "gaps_of", "shortened", "wanted_entries"]

#: So many of the newest runs stay whatever the rules need, and as many refusals, and notes by humans.
NEWEST = 500
_PHASES = ("begin", "end", "verdict", "refused", "breaker", "ledger", "shortened")


def shortened(
    entries: Sequence[dict[str, Any]], *, now: float, newest: int = NEWEST
) -> tuple[list[dict[str, Any]], dict[str, Any]] | None:
    """The entries that stay and the one that says so; None where too few would go to be worth it."""
    kept = wanted_entries(entries, now=now, newest=newest)
    if len(kept) > len(entries) * 3 // 4:
        return None
    last = max(int(entry.get("seq", 0)) for entry in entries)
    numbers = sorted({0, last + 1} | {int(entry.get("seq", 0)) for entry in kept})
    gone = [[one + 1, other - 1] for one, other in itertools.pairwise(numbers) if other > one + 1]
    return kept, {"phase": "shortened", "action": "", "outcome": "", "gone": gone}


def wanted_entries(
    entries: Sequence[dict[str, Any]], *, now: float, newest: int = NEWEST
) -> list[dict[str, Any]]:
    """The entries that stay, in order. Those of phases that are not known here do."""
    runs = runs_of(entries)
    recent = {run["id"] for run in runs[-newest:]} if newest else set()
    actions: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        actions.setdefault(str(run["begin"].get("action")), []).append(run)
    closed = {str(e.get("action")): e for e in entries if e.get("phase") == "breaker"}
    ids = {
        run["id"]
        for action, own in actions.items()
        for run in _wanted_runs(own, closed.get(action, {}), recent, now=now)
    }
    # The last ones of each kind, whatever has come since; by their place, as a damaged one may lack a number.
    places: dict[str, list[int]] = {}
    for place, entry in enumerate(entries):
        places.setdefault(str(entry.get("phase")), []).append(place)
    stay = {
        place
        for phase in ("refused", "breaker", "ledger")
        for place in places.get(phase, ())[-newest:]
    }
    stay |= {
        place
        for place, entry in enumerate(entries)
        if entry.get("phase") not in _PHASES
        or (entry.get("phase") in ("begin", "end", "verdict") and entry.get("id") in ids)
        or any(entry is one for one in closed.values())
    }
    return [entry for place, entry in enumerate(entries) if place in stay]


def _wanted_runs(
    own: Sequence[dict[str, Any]], closed: Mapping[str, Any], recent: set[str], *, now: float
) -> list[dict[str, Any]]:
    """Of one action's runs those that a rule may look at: its last ones, and the longest row of failures."""
    first = max(0, len(own) - MOST_RUNS)
    for place, run in enumerate(own):
        # One under way, one of the newest, and one of a clock that ran ahead, which counts for long.
        if not run["outcome"] or run["id"] in recent or float(run["begin"].get("unix", 0)) > now:
            first = min(first, place)
            break
    # Whole, with the run that ended it, lest it goes on in the next one that is kept.
    begin, end = _longest_row(own, since=int(closed.get("seq", -1)))
    if end >= first:
        return list(own[min(begin, first) :])
    return [*own[begin:end], *own[first:]]


def _longest_row(own: Sequence[Mapping[str, Any]], *, since: int) -> tuple[int, int]:
    """From where to where the longest row of failures goes since a breaker was closed, and what ended it."""
    best, most = (0, 0), 0
    begin, failures = 0, 0
    for place, run in enumerate(own):
        outcome = run["outcome"] or "aborted"
        if int(run["begin"].get("seq", 0)) <= since or outcome == "resolved":
            if failures and best == (begin, place):
                best = (begin, place + 1)
            begin, failures = place + 1, 0
            continue
        failures += outcome in INEFFECTIVE
        # The last of those that are equally long, as it may go on.
        if failures and failures >= most:
            most, best = failures, (begin, place + 1)
    return best


def gaps_of(entries: Sequence[Mapping[str, Any]], *, since: int) -> list[str]:
    """Numbers that no entry has, from one number on, as C(7) and C(9-12). Those that were let go have one."""
    numbers = {int(entry.get("seq", 0)): int(entry.get("seq", 0)) for entry in entries}
    numbers.setdefault(since, since)
    for entry in entries:
        if entry.get("phase") == "shortened":
            numbers |= {int(first): int(last) for first, last in entry.get("gone", ())}
    gaps, known = [], since
    for first, last in sorted(numbers.items()):
        if first > known + 1:
            gaps.append(f"{known + 1}" if first == known + 2 else f"{known + 1}-{first - 1}")
        known = max(known, last)
    return gaps
