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

__all__ = ["bench_remedies", "section"]

_RECORD = STATE / "bench" / "remedies.jsonl"
_PLAYBOOKS = ROOT / "playbooks" / "remediate"


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
        rows.append((name, *_cells(acted), *_cells(again)))
    head = ("playbook", "until verified", "task results", "nothing to do", "task results")
    return "\n".join(
        (
            "## Remediations",
            "",
            "From the start of `ansible-playbook` until Prometheus had said that the alert was gone and "
            "stayed away, on a live stack and a real fault; and the same where nothing was wrong.",
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
