# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python3 -m lab bench-remedies``: each remediation, until Prometheus has said that it helped.

Scenario C(alerts) makes the faults and remedies them on a live stack; the runs of its playbooks are timed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from lab.bench_page import put, table
from lab.paths import ROOT, STATE
from lab.quality import test

__all__ = ["HOLD", "INTERVAL", "LOOKS_BACK", "bench_remedies", "section"]

_RECORD = STATE / "bench" / "remedies.jsonl"
_PLAYBOOKS = ROOT / "playbooks" / "remediate"

#: What an alert looks back over in the scenario, and so long it goes on after its cause. Others look at now.
LOOKS_BACK = {
    "high_cpu": "1m",
    "high_error_rate": "5m",
    "memory_exhaustion": "5m if it stalled or killed",
    "slow_api": "5m",
}
#: For how many seconds it has to stay away there; and those of a scrape and of an evaluation each.
HOLD, INTERVAL = 15, 15


def section(runs: Iterable[Mapping[str, Any]], names: Iterable[str]) -> str:
    """The section of the page: of each playbook the first run that acted and ended well."""
    ended = [
        run
        for run in runs
        if not run["check"] and not any(host["failures"] for host in run["hosts"].values())
    ]
    rows = []
    for name in names:
        own = [run for run in ended if run["playbook"] == name]
        acted = next((run for run in own if run["changed"]), None)
        again = next((run for run in own if not run["changed"]), None)
        rows.append((name, LOOKS_BACK.get(name, "-"), *_cells(acted), *_cells(again)))
    head = (
        *("playbook", "alert looks back", "until verified", "task results"),
        *("nothing to do", "task results"),
    )
    return "\n".join(
        (
            "## Remediations",
            "",
            "From the start of `ansible-playbook` until Prometheus had said that the alert was gone and "
            "stayed away, on a live stack and a real fault; and the same where nothing was wrong.",
            "",
            "Most of the time until verified is the alert's own, which nothing shortens: the window that "
            f"it looks back over, up to {INTERVAL} s to the next scrape and as much to the next evaluation, "
            f"and {HOLD} s for which it has to stay away (`remediation_hold`, 30 by default). The window of "
            "HighCpu is 1m here and 5m by default.",
            "",
            *table(head, rows),
        )
    )


def _cells(run: Mapping[str, Any] | None) -> tuple[str, str]:
    if run is None:
        return "-", "-"
    results = sum(host["ok"] + host["skipped"] for host in run["hosts"].values())
    return f"{run['seconds']:.0f} s", str(results)


def bench_remedies() -> int:
    """Measure, and write the section."""
    _RECORD.parent.mkdir(parents=True, exist_ok=True)
    _RECORD.unlink(missing_ok=True)
    os.environ |= {
        "RECORD_CHANGES": str(_RECORD),
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "lab" / "callback_plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "record_changes",
    }
    code = test("alerts")
    runs = [json.loads(line) for line in _RECORD.read_text(encoding="utf-8").splitlines()]
    put(section(runs, sorted(path.stem for path in _PLAYBOOKS.glob("*.yml"))))
    return code
