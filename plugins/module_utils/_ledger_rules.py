# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""What a remediation may do, judged from the ledger's entries alone."""

from __future__ import annotations

import getpass
import hashlib
import math
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_lines import to_json

__all__ = [
    "GUARD_OPTIONS",
    "INEFFECTIVE",
    "MOST_RUNS",
    "OUTCOMES",
    "REVERSIBILITY",
    "Action",
    "Clock",
    "Limits",
    "State",
    "action_of",
    "evidence_hash",
    "judge_state",
    "judged",
    "runs_of",
    "user_name",
]

REVERSIBILITY = ("safe", "lossy", "destructive")
OUTCOMES = ("resolved", "not_resolved", "inconclusive", "refused", "failed", "aborted")
#: Outcomes that count against the breaker.
INEFFECTIVE = ("not_resolved", "inconclusive", "failed", "aborted")
#: The largest budget that an action may have: no rule counts more of its runs.
MOST_RUNS = 20

#: Options of every module that acts; documented by the fragment C(koprogo.observability.guard).
GUARD_OPTIONS: dict[str, dict[str, Any]] = {
    "alert": {"type": "str", "default": ""},
    "evidence_sha256": {"type": "str"},
    "run_by": {"type": "str", "default": ""},
    "automatic": {"type": "bool", "default": False},
    "verdict_follows": {"type": "bool", "default": False},
    "cool_down": {"type": "float"},
    "budget": {"type": "int"},
    "budget_window": {"type": "float"},
    "breaker_after": {"type": "int"},
    "ledger": {"type": "path"},
}

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one action on one host. Times in seconds.

    ``cool_down`` from the end of a run to the next, ``budget`` runs in any ``window``,
    ``breaker`` ineffective runs in a row after which a human has to close it.
    """

    cool_down: float
    budget: int
    window: float
    breaker: int

    @staticmethod
    def of(reversibility: str, options: Mapping[str, Any] | None = None) -> Limits:
        """The class's limits, changed by a module's options within what is allowed for all."""
        base = _LIMITS[reversibility]
        given = {key: value for key, value in (options or {}).items() if value is not None}
        limits = Limits(**{**vars(base), **given})
        for name, value, lowest, highest in (
            ("cool_down", limits.cool_down, 30, None),
            ("budget", limits.budget, 1, MOST_RUNS),
            ("budget_window", limits.window, 600, None),
            ("breaker_after", limits.breaker, 1, 5),
        ):
            # Of nan every comparison is false, also the one that would wait for the cool-down.
            if not math.isfinite(value) or value < lowest or (highest and value > highest):
                allowed = (
                    f"from {lowest} to {highest}" if highest else f"at least {lowest}, and an end"
                )
                raise InputError(f"{name}: expected {allowed}, found {value:g}.")
        return limits


_LIMITS = {
    "safe": Limits(cool_down=120, budget=5, window=3600, breaker=3),
    "lossy": Limits(cool_down=300, budget=4, window=6 * 3600, breaker=3),
    "destructive": Limits(cool_down=3600, budget=1, window=24 * 3600, breaker=1),
}


@dataclass(frozen=True, kw_only=True)
class Action:
    """One action on this host. ``name`` is its key: C(disk_reclaim), C(restart:koprogo-api)."""

    name: str
    reversibility: str
    alert: str = ""
    who: str = ""
    automatic: bool = False
    verdict_follows: bool = False
    limits: Limits | None = None

    def __post_init__(self) -> None:
        """InputError for an unknown class or a name that says nothing."""
        if self.reversibility not in REVERSIBILITY:
            raise InputError(
                f"reversibility: expected one of {', '.join(REVERSIBILITY)}, "
                f"found '{self.reversibility}'."
            )
        if not self.name.strip():
            raise InputError("An action needs a name.")

    @property
    def bounds(self) -> Limits:
        """The limits that hold."""
        return self.limits or Limits.of(self.reversibility)


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Wall time, and the time since the boot, which nobody can set."""

    wall: Callable[[], float] = time.time
    since_boot: Callable[[], float] = field(default=lambda: time.clock_gettime(time.CLOCK_BOOTTIME))
    boot_id: Callable[[], str] = _boot_id

    def stamp(self) -> dict[str, Any]:
        """The time keys of an entry."""
        wall = self.wall()
        return {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall)),
            "unix": round(wall, 3),
            "boot": self.boot_id(),
            "uptime": round(self.since_boot(), 3),
        }

    def since(self, entry: Mapping[str, Any]) -> float:
        """Seconds since an entry: by the boot's clock in the same boot, whatever the wall says.

        Of an earlier boot the wall tells; one that was set back still lets this boot's age count.
        """
        uptime = self.since_boot()
        if entry.get("boot") and entry.get("boot") == self.boot_id():
            return max(0.0, uptime - float(entry.get("uptime", 0.0)))
        return max(self.wall() - float(entry.get("unix", 0.0)), uptime)


@dataclass(kw_only=True)
class State:
    """Where one action stands. C(cool_down_left) in seconds."""

    action: str
    runs: int = 0
    runs_in_window: int = 0
    budget_left: int = 0
    cool_down_left: float = 0.0
    ineffective: int = 0
    breaker: str = "closed"
    last_outcome: str = ""
    last_time: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The state as a module returns it."""
        return {**vars(self), "cool_down_left": round(self.cool_down_left, 1)}


def runs_of(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Entries of the same id as one run: beginning, end, last entry, and the outcome that holds.

    A verdict replaces the outcome that the action gave itself. Where one was to follow and has not, nobody
    knows whether it helped: whoever was to ask may be dead.
    """
    runs: dict[str, dict[str, Any]] = {}
    for entry in entries:
        phase, key = entry.get("phase"), str(entry.get("id", ""))
        if phase == "begin":
            runs[key] = {"begin": entry, "end": entry, "last": entry, "outcome": "", "id": key}
        elif phase in ("end", "verdict") and key in runs:
            runs[key]["last"] = entry
            if phase == "end":
                runs[key]["end"] = entry
            outcome = str(entry.get("outcome", ""))
            unasked = phase == "end" and runs[key]["begin"].get("verdict") == "follows"
            runs[key]["outcome"] = "inconclusive" if unasked and outcome == "resolved" else outcome
    return list(runs.values())


def judge_state(
    name: str, limits: Limits, entries: Sequence[Mapping[str, Any]], clock: Clock
) -> State:
    """Where an action stands by the entries."""
    state = State(action=name)
    closed_at = -1
    for entry in entries:
        if entry.get("phase") == "breaker" and entry.get("action") == name:
            closed_at = max(closed_at, int(entry.get("seq", 0)))
    for run in runs_of(entries):
        if run["begin"].get("action") != name:
            continue
        state.runs += 1
        if clock.since(run["begin"]) < limits.window:
            state.runs_in_window += 1
        # A run without an end died, or still runs: the lock tells, not the ledger.
        state.last_outcome = run["outcome"] or "aborted"
        state.last_time = str(run["end"].get("time", ""))
        # When a run died isn't known; that it was found dead is no reason to wait anew, nor is a
        # verdict, which may come long after the act.
        since = clock.since(run["begin" if state.last_outcome == "aborted" else "end"])
        left = limits.cool_down - since
        state.cool_down_left = max(0.0, left)
        if int(run["begin"].get("seq", 0)) <= closed_at or state.last_outcome == "resolved":
            state.ineffective = 0
        elif state.last_outcome in INEFFECTIVE:
            state.ineffective += 1
            # Open until a human closes it: a later success doesn't, for it cannot run.
            if state.ineffective >= limits.breaker:
                state.breaker = "open"
        if int(run["begin"].get("seq", 0)) <= closed_at:
            state.breaker = "closed"
    state.budget_left = max(0, limits.budget - state.runs_in_window)
    return state


def evidence_hash(evidence: Mapping[str, Any] | str | None) -> str:
    """The sha256 of evidence, or the given one; empty if there is none."""
    if isinstance(evidence, str):
        if evidence and not _SHA256.fullmatch(evidence):
            raise InputError(
                f"evidence_sha256: expected 64 hexadecimal digits, found '{evidence}'."
            )
        return evidence
    return hashlib.sha256(to_json(evidence).encode()).hexdigest() if evidence else ""


def action_of(params: Mapping[str, Any], *, name: str, reversibility: str) -> Action:
    """The action that a module's options (GUARD_OPTIONS) describe."""
    limits = Limits.of(
        reversibility,
        {
            "cool_down": params.get("cool_down"),
            "budget": params.get("budget"),
            "window": params.get("budget_window"),
            "breaker": params.get("breaker_after"),
        },
    )
    return Action(
        name=name,
        reversibility=reversibility,
        alert=params.get("alert") or "",
        who=params.get("run_by") or user_name(),
        automatic=bool(params.get("automatic")),
        verdict_follows=bool(params.get("verdict_follows")),
        limits=limits,
    )


def user_name() -> str:
    """Who signed in, as well as the host knows."""
    for name in ("SUDO_USER", "LOGNAME", "USER"):
        if user := os.environ.get(name):
            return user
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())


def judged(
    action: Action, state: State, health: Mapping[str, Any], evidence: str
) -> tuple[str, str]:
    """The first reason against the action as code and sentence; empty ones if there is none."""
    limits = action.bounds
    destructive = action.reversibility == "destructive"
    reasons = (
        (
            destructive and action.automatic,
            "destructive",
            "a destructive action is never automatic: a human has to run it.",
        ),
        (
            not evidence,
            "no_evidence",
            "expected evidence that was collected before the action, found none.",
        ),
        (
            destructive and not health["trusted"],
            "no_ledger",
            f"the ledger {health['path']} cannot be trusted ({'; '.join(health['problems'])}). "
            "Look at it, then vouch for it with the module remediation_ledger, state=trusted.",
        ),
        (
            state.breaker == "open",
            "breaker_open",
            f"{state.ineffective} runs in a row did not help, the last one ended "
            f"{state.last_outcome} at {state.last_time}. Find the cause, then close the breaker with "
            "the module remediation_ledger, state=closed.",
        ),
        (
            state.cool_down_left > 0,
            "cool_down",
            f"it ran at {state.last_time} and may again in {state.cool_down_left:.0f} s.",
        ),
        (
            state.budget_left <= 0,
            "budget",
            f"it ran {state.runs_in_window} times within {limits.window:g} s, "
            f"its budget is {limits.budget}.",
        ),
    )
    return next(((code, reason) for holds, code, reason in reasons if holds), ("", ""))
