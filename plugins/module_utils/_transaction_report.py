# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""What a configuration transaction found and did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._activation import Outcome
from ansible_collections.koprogo.observability.plugins.module_utils._plan import Plan
from ansible_collections.koprogo.observability.plugins.module_utils._stage import Verdict

__all__ = ["Report"]


@dataclass(kw_only=True)
class Report:
    """What a run found and did; see the module's RETURN. ``warnings`` are for a person."""

    changed: bool = False
    set_id: str | None = None
    location: str = ""
    plan: Plan = field(default_factory=Plan)
    verdict: Verdict = field(default_factory=lambda: Verdict(validated=False))
    outcome: Outcome = field(default_factory=Outcome)
    healed: bool = False
    kept: str | None = None
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    diff: list[dict[str, Any]] = field(default_factory=list)

    def as_result(self) -> dict[str, Any]:
        """Return the arguments for ``exit_json``."""
        plan = self.plan
        return {
            "changed": self.changed,
            "set": self.set_id,
            "location": self.location,
            "files": {
                "added": list(plan.added),
                "changed": list(plan.changed),
                "removed": list(plan.removed),
                "kept_foreign": plan.kept_foreign(),
            },
            "directories": list(plan.directories),
            "links": {
                "added": list(plan.links.added),
                "changed": list(plan.links.changed),
                "removed": list(plan.links.removed),
            },
            "validated": self.verdict.validated,
            "not_validated": self.verdict.reason,
            "action": self.outcome.action,
            "daemon_reload": plan.daemon_reload,
            "probes": self.outcome.probes,
            "healed": self.healed,
            "rolled_back": False,
            "kept": self.kept,
            "notes": self.notes,
        }
