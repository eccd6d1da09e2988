# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""One way through every module that acts: nothing to do, a refusal, a prediction, or the guarded act."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible_collections.koprogo.observability.plugins.module_utils._errors import KoprogoError
from ansible_collections.koprogo.observability.plugins.module_utils._ledger import (
    Ledger,
    RefusedError,
    action_of,
)

__all__ = ["IneffectiveError", "Recovery", "Remedy", "require_effect", "restart_of"]


class IneffectiveError(KoprogoError):
    """An action was carried out and did not help."""


def require_effect(result: Mapping[str, Any], what: str) -> None:
    """Raise IneffectiveError, with all of the result, for an action that did not help."""
    if result["outcome"] not in ("", "resolved"):
        why = result.get("problem") or what
        raise IneffectiveError(f"It was done and did not help: {why}.", **result)


@dataclass(kw_only=True)
class Remedy:
    """What a module found and would do.

    ``act`` returns the outcome (resolved, not_resolved, inconclusive) and what the result gains.
    ``refusal`` is why the host's state forbids the act, ``code`` its short form. ``before`` and
    ``after`` are the texts of the difference.
    """

    name: str
    reversibility: str
    needed: bool
    evidence: Mapping[str, Any]
    prediction: Mapping[str, Any]
    act: Callable[[], tuple[str, dict[str, Any]]]
    result: dict[str, Any] = field(default_factory=dict)
    refusal: str = ""
    code: str = ""
    before: str = ""
    after: str = ""

    def run(
        self, options: Mapping[str, Any], *, check: bool, ledger: Ledger | None = None
    ) -> dict[str, Any]:
        """Return the module's result. Raises RefusedError, in check mode only says so."""
        result = {
            "changed": False,
            "refused": False,
            "outcome": "",
            "guard": {},
            "prediction": dict(self.prediction),
            **self.result,
        }
        if not self.needed:
            return result | {"prediction": {}}
        action = action_of(options, name=self.name, reversibility=self.reversibility)
        if self.refusal:
            return self._refuse(result, check=check)
        book = ledger or Ledger(options.get("ledger"))
        evidence = options.get("evidence_sha256") or self.evidence
        difference = {"before": self.before, "after": self.after}
        if check:
            guard = book.judge(action, evidence=evidence)
            return result | {
                "changed": guard["allowed"],
                "refused": not guard["allowed"],
                "code": guard["code"],
                "reason": guard["reason"],
                "guard": guard,
                "diff": difference if guard["allowed"] else {},
            }
        with book.remediation(action, evidence=evidence, prediction=self.prediction) as run:
            outcome, gained = self.act()
            run.end(outcome, result={key: gained[key] for key in gained if key != "journal"})
        return (
            result
            | gained
            | {
                "changed": True,
                "outcome": outcome,
                "guard": run.guard,
                "diff": difference,
            }
        )

    def _refuse(self, result: dict[str, Any], *, check: bool) -> dict[str, Any]:
        told = {"refused": True, "code": self.code, "reason": self.refusal}
        if check:
            return result | told
        kept = {key: value for key, value in result.items() if key != "changed"}
        raise RefusedError(f"Refused {self.name}: {self.refusal}", **(kept | told))


class Recovery(Protocol):
    """What looks at something that may be down, and restarts it."""

    def look(self) -> dict[str, Any]:
        """What is seen: C(condition), C(unit) and more."""

    def refusal(self, seen: Mapping[str, Any]) -> tuple[str, str]:
        """Code and reason why a restart would not help; empty if it may."""

    def restart(self) -> tuple[str, dict[str, Any]]:
        """Outcome, and what is seen then."""


def restart_of(recovery: Recovery, unit: str, *, well: str) -> Remedy:
    """A restart of a unit, after a look that found it in another condition than C(well)."""
    seen = recovery.look()
    needed = seen["condition"] != well
    code, refusal = recovery.refusal(seen) if needed else ("", "")
    return Remedy(
        # The same key wherever a unit is restarted: one budget for all reasons.
        name=f"restart:{unit.removesuffix('.service')}",
        reversibility="safe",
        needed=needed,
        evidence=seen,
        prediction={"restarts": 1},
        act=recovery.restart,
        result=seen,
        refusal=refusal,
        code=code,
        before=f"{seen['unit']['says']}, {seen['condition']}\n",
        after=f"{unit} is restarted\n",
    )
