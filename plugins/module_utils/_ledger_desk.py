# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""What a human reads in the ledger, and may write into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._ledger import Ledger
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_rules import runs_of
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_store import LedgerError

__all__ = ["report", "write"]


def write(ledger: Ledger, options: Mapping[str, Any], *, check: bool) -> str:
    """Do what C(state) says; return the sentence of what changed, or would, empty for nothing."""
    state, reason, who = options["state"], options["reason"], options["run_by"]
    change = ""
    if state in ("closed", "trusted") and not reason.strip():
        raise InputError("reason: expected a sentence for those who read the ledger, found none.")
    if state == "closed":
        rows = {row["action"]: row for row in ledger.states()}
        action = options["action"]
        if action not in rows:
            known = ", ".join(rows) or "none"
            raise InputError(
                f"action: expected one that ran on this host ({known}), found '{action}'."
            )
        if rows[action]["breaker"] == "open":
            change = f"breaker of {action}: open -> closed"
            if not check:
                ledger.close_breaker(action, reason=reason, who=who)
    elif state == "trusted":
        if not ledger.health()["trusted"]:
            change = "ledger: not trusted -> trusted"
            if not check:
                _vouch(ledger, reason=reason, who=who)
    elif state == "verdict":
        change = _verdict(ledger, options, check=check)
    return change


def _vouch(ledger: Ledger, *, reason: str, who: str) -> None:
    ledger.vouch(reason=reason, who=who)
    health = ledger.health()
    if not health["trusted"]:
        raise LedgerError(
            "state: expected a ledger that is trusted now, found that it still is not: "
            f"{'; '.join(health['problems'])}. {health['path']}.head has to be written for that: is there "
            "room?",
            ledger=health["path"],
        )


def _verdict(ledger: Ledger, options: Mapping[str, Any], *, check: bool) -> str:
    run_id, outcome = options["run_id"], options["outcome"]
    runs = {run["id"]: run for run in runs_of(ledger.read().entries)}
    if run_id not in runs:
        raise InputError(f"run_id: expected a run of the ledger, found '{run_id}'.")
    run = runs[run_id]
    if run["last"]["phase"] == "verdict" and run["outcome"] == outcome:
        return ""
    if not check:
        ledger.verdict(run_id, outcome, who=options["run_by"], detail={"reason": options["reason"]})
    return f"run {run_id}: {run['outcome'] or 'no outcome'} -> {outcome}"


def report(ledger: Ledger, options: Mapping[str, Any]) -> dict[str, Any]:
    """Entries that were asked for, states and health."""
    if options["limit"] < 1:
        raise InputError(f"limit: expected at least 1, found {options['limit']}.")
    reading = ledger.read()
    entries = [
        entry
        for entry in reading.entries
        if options["action"] in (None, entry.get("action"))
        and options["alert"] in (None, entry.get("alert"))
    ]
    return {
        "entries": entries[-options["limit"] :],
        "states": ledger.states(),
        "health": ledger.health(reading),
    }
