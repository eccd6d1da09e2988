# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""The ledger of remediations, and the guard that every action on a host has to pass.

A module that acts uses it so::

    action = action_of(module.params, name="restart:koprogo-api", reversibility="safe")
    ledger = Ledger()
    if nothing_to_do: exit_json(changed=False)             # no entry
    if module.check_mode:
        guard = ledger.judge(action, evidence=seen)        # writes nothing, refuses nothing
        exit_json(changed=guard["allowed"], guard=guard, prediction=...)
    with ledger.remediation(action, evidence=seen, prediction={"restarts": 1}) as run:
        act()                                              # an exception ends it as "failed"
        run.end("resolved" if well else "not_resolved", result={"restarts": 1})
    exit_json(changed=True, guard=run.guard, ...)

``remediation`` raises RefusedError (a KoprogoError, so C(fail_json(**error.as_result())) is all)
with C(refused=true) and C(guard), after it has recorded the refusal. Without ``run.end`` the run is
"inconclusive". The verify phase may replace the outcome with ``Ledger.verdict(run_id, …)``.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    KoprogoError,
    LockedError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_health import health_of
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_lines import to_json
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_lock import (
    LOCKS,
    host_lock,
)
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_retention import (
    shortened,
)
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_rules import (
    GUARD_OPTIONS,
    OUTCOMES,
    Action,
    Clock,
    Limits,
    action_of,
    evidence_hash,
    judge_state,
    judged,
    runs_of,
    user_name,
)
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_store import (
    LedgerError,
    Reading,
    Store,
)

__all__ = [
    "GUARD_OPTIONS",
    "LOCKS",
    "Action",
    "Ledger",
    "Limits",
    "RefusedError",
    "Run",
    "action_of",
    "evidence_hash",
]

# The same refusal again within this time, in seconds, isn't written down again: a storm of alerts
# must not fill the disk.
_QUIET = 60.0
# Characters of JSON: an entry is a line of a log, the incident's record holds the rest.
_LONGEST = 4096


class RefusedError(KoprogoError):
    """The guard refuses an action; nothing was touched."""


class Run:
    """A remediation under way. ``guard`` is what the module returns of it."""

    def __init__(self, run_id: str, guard: dict[str, Any]) -> None:
        """Begin with no outcome."""
        self.id = run_id
        self.guard = guard
        self.outcome = ""
        self.result: Mapping[str, Any] = {}

    def end(self, outcome: str, *, result: Mapping[str, Any] | None = None) -> None:
        """Say how it ended, and what came of it beside the prediction."""
        if outcome not in OUTCOMES:
            raise InputError(f"outcome: expected one of {', '.join(OUTCOMES)}, found '{outcome}'.")
        self.outcome = outcome
        self.result = result or {}


class Ledger:
    """Judges actions by what is written, and writes down what they do."""

    def __init__(
        self,
        path: str | None = None,
        *,
        store: Store | None = None,
        clock: Clock | None = None,
        locks: Sequence[str] = LOCKS,
    ) -> None:
        """``path`` of the ledger on the disk; ``locks`` are all taken that can be had."""
        self._store = store or (Store(path) if path else Store())
        self._clock = clock or Clock()
        self._locks = tuple(locks)

    # Reading

    def read(self) -> Reading:
        """What is written."""
        return self._store.read()

    def states(self, limits: Mapping[str, Limits] | None = None) -> list[dict[str, Any]]:
        """Where each action stands that was ever begun, by the limits of its last run."""
        entries = self.read().entries
        found: dict[str, Limits] = {}
        for run in runs_of(entries):
            begin = run["begin"]
            kept = begin.get("limits") or {}
            found[str(begin.get("action"))] = Limits(**kept) if kept else Limits.of(begin["class"])
        found |= limits or {}
        return [
            judge_state(name, bounds, entries, self._clock).as_dict()
            for name, bounds in sorted(found.items())
        ]

    def health(self, reading: Reading | None = None) -> dict[str, Any]:
        """Whether the ledger can be trusted for a destructive action, and why not."""
        return health_of(self._store, reading or self.read())

    def judge(self, action: Action, *, evidence: Mapping[str, Any] | str | None) -> dict[str, Any]:
        """Whether the action may run now: C(allowed), C(code), C(reason) and its state. Only reads."""
        reading = self.read()
        state = judge_state(action.name, action.bounds, reading.entries, self._clock)
        health = self.health(reading)
        code, reason = judged(action, state, health, evidence_hash(evidence))
        return {
            "allowed": not code,
            "code": code,
            "reason": reason,
            "reversibility": action.reversibility,
            "action": action.name,
            "run_id": "",
            "evidence_sha256": evidence_hash(evidence),
            "state": state.as_dict(),
            "ledger": health,
        }

    # Acting

    @contextlib.contextmanager
    def remediation(
        self,
        action: Action,
        *,
        evidence: Mapping[str, Any] | str | None,
        prediction: Mapping[str, Any] | None = None,
    ) -> Iterator[Run]:
        """Hold the host's lock, pass the guard, write the beginning and the end.

        Raises RefusedError, after the refusal was recorded.
        """
        guard = self.judge(action, evidence=evidence)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(host_lock(action.name, self._locks))
            except LockedError as error:
                guard |= {"allowed": False, "code": "locked", "reason": error.message}
                guard["holder"] = error.evidence["holder"]
                raise self._refused(action, guard) from error
            self._bury()
            # Under the lock nobody else writes: what was judged before may be out of date.
            guard = self.judge(action, evidence=evidence)
            if not guard["allowed"]:
                raise self._refused(action, guard)
            yield from self._recorded(action, guard, prediction or {})

    def _recorded(
        self, action: Action, guard: dict[str, Any], prediction: Mapping[str, Any]
    ) -> Iterator[Run]:
        run = Run(self._new_id(), guard)
        guard["run_id"] = run.id
        self._store.provide()
        begin = self._entry(action, run.id, "begin", guard["evidence_sha256"])
        begin |= {"prediction": _short(prediction), "limits": vars(action.bounds)}
        if action.verdict_follows:
            begin["verdict"] = "follows"
        try:
            guard["recorded"], _entry = self._store.append(begin)
        except LedgerError as error:
            guard["recorded"] = ""
            if action.automatic or action.reversibility == "destructive":
                guard |= {"allowed": False, "code": "no_ledger", "reason": error.message}
                raise RefusedError(
                    f"Refused {action.name}: {error.message}", refused=True, guard=guard
                ) from error
        try:
            yield run
        except BaseException as error:
            self._end(action, run, "failed", {"error": str(error)[:500]})
            if isinstance(error, InputError):
                # It says that nothing was touched, and something was.
                raise KoprogoError(error.message, guard=guard, **error.evidence) from error
            raise
        self._end(action, run, run.outcome or "inconclusive", run.result)

    def _end(self, action: Action, run: Run, outcome: str, result: Mapping[str, Any]) -> None:
        run.guard["outcome"] = outcome
        entry = self._entry(action, run.id, "end", run.guard["evidence_sha256"])
        entry |= {"outcome": outcome, "result": _short(result)}
        # What was done is done; a ledger that cannot take the end makes the run an aborted one.
        with contextlib.suppress(LedgerError):
            run.guard["recorded"], _entry = self._store.append(entry)
            self._shorten()

    def _bury(self) -> None:
        """Whatever began and did not end is dead: its lock is ours now."""
        for run in runs_of(self.read().entries):
            if not run["outcome"]:
                begin = run["begin"]
                entry = {
                    key: begin[key]
                    for key in ("id", "action", "alert", "who", "automatic", "class", "evidence")
                    if key in begin
                }
                # The action's own time counts for its cool-down, and it isn't known when it died.
                with contextlib.suppress(LedgerError):
                    self._store.append(
                        {**entry, **self._clock.stamp(), "phase": "end", "outcome": "aborted"}
                    )

    def _refused(self, action: Action, guard: dict[str, Any]) -> RefusedError:
        run_id = self._new_id()
        guard["run_id"] = run_id
        entry = self._entry(action, run_id, "refused", guard["evidence_sha256"])
        entry |= {"outcome": "refused", "code": guard["code"], "reason": guard["reason"][:500]}
        before = [e for e in self.read().entries if e.get("phase") == "refused"]
        same = [
            e for e in before if (e.get("action"), e.get("code")) == (action.name, guard["code"])
        ]
        guard["recorded"] = ""
        if not same or self._clock.since(same[-1]) >= _QUIET:
            with contextlib.suppress(LedgerError):
                guard["recorded"], _entry = self._store.append(entry)
                self._shorten()
        return RefusedError(
            f"Refused {action.name}: {guard['reason']}",
            refused=True,
            code=guard["code"],
            guard=guard,
        )

    # By humans

    def verdict(
        self, run_id: str, outcome: str, *, who: str = "", detail: Mapping[str, Any] | None = None
    ) -> bool:
        """Replace a run's outcome by what the alert says; False if that is written already."""
        if outcome not in ("resolved", "not_resolved", "inconclusive"):
            raise InputError(
                f"outcome: expected resolved, not_resolved or inconclusive, found '{outcome}'."
            )
        runs = {run["id"]: run for run in runs_of(self.read().entries)}
        if run_id not in runs:
            raise InputError(f"run_id: expected a run of the ledger, found '{run_id}'.")
        if runs[run_id]["outcome"] == outcome and runs[run_id]["last"]["phase"] == "verdict":
            return False
        begin = runs[run_id]["begin"]
        self._store.append(
            {
                **{key: begin.get(key, "") for key in ("id", "action", "alert", "class")},
                **self._clock.stamp(),
                "who": who or user_name(),
                "phase": "verdict",
                "outcome": outcome,
                "result": _short(detail or {}),
            }
        )
        return True

    def give_up(self, run_ids: Sequence[str], *, who: str = "") -> None:
        """Say of runs whose verdict was to follow and never came that nobody knows what came of them."""
        for run in runs_of(self.read().entries):
            begin, last = run["begin"], run["last"]
            if (
                run["id"] in run_ids
                and begin.get("verdict") == "follows"
                and last["phase"] == "end"
                and run["outcome"] == "inconclusive"
            ):
                self.verdict(run["id"], "inconclusive", who=who)

    def close_breaker(self, action: str, *, reason: str, who: str = "") -> None:
        """Let an action run again. Its cool-down and budget still hold."""
        self._note("breaker", action=action, outcome="closed", reason=reason, who=who)

    def vouch(self, *, reason: str, who: str = "") -> None:
        """Say that the ledger as it is may be trusted: at provisioning, or after a loss."""
        self._note("ledger", action="", outcome="trusted", reason=reason, who=who)
        self._store.provide()

    def _note(self, phase: str, *, action: str, outcome: str, reason: str, who: str) -> None:
        if not reason.strip():
            raise InputError(
                "reason: expected a sentence for those who read the ledger, found none."
            )
        self._store.append(
            {
                **self._clock.stamp(),
                "id": self._new_id(),
                "phase": phase,
                "action": action,
                "outcome": outcome,
                "reason": reason[:500],
                "who": who or user_name(),
            },
            renew=phase == "ledger",
        )

    # Helpers

    def _shorten(self) -> None:
        """Forget what no rule looks back at, of a ledger that has grown long and is whole."""

        def wanted(reading: Reading) -> tuple[list[dict[str, Any]], dict[str, Any]] | None:
            health = self.health(reading)
            # What is wrong with it stays for a human to see; that nobody has vouched for it yet is not wrong.
            if reading.end or health["damaged_lines"] or health["missing_entries"]:
                return None
            stamp = self._clock.stamp()
            told = shortened(reading.entries, now=stamp["unix"])
            return told and (told[0], {**stamp, "id": self._new_id(), **told[1]})

        self._store.shorten(wanted)

    def _new_id(self) -> str:
        return f"{self._clock.stamp()['time'].replace('-', '').replace(':', '')}-{secrets.token_hex(4)}"

    def _entry(self, action: Action, run_id: str, phase: str, evidence: str) -> dict[str, Any]:
        return {
            **self._clock.stamp(),
            "id": run_id,
            "phase": phase,
            "action": action.name,
            "alert": action.alert,
            "who": action.who,
            "automatic": action.automatic,
            "class": action.reversibility,
            "evidence": evidence,
        }


def _short(value: Mapping[str, Any]) -> Any:
    text = to_json(value)
    if len(text) <= _LONGEST:
        return value
    return {
        "shortened": True,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "characters": len(text),
    }
