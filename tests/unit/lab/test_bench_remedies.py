# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sections about remediations and their modules say."""

from __future__ import annotations

from typing import Any

from lab.bench_latency import Run
from lab.bench_latency import section as latency
from lab.bench_remedies import section as remedies


def run(playbook: str, *, changed: int, failures: int = 0, check: bool = False) -> dict[str, Any]:
    host = {"ok": 20, "skipped": 3, "changed": changed, "failures": failures}
    return {
        "playbook": playbook,
        "check": check,
        "seconds": 42.4,
        "hosts": {"box": host},
        "changed": [["box", "Act"]] * changed,
    }


def test_a_run_that_failed_or_only_predicted_is_no_figure() -> None:
    runs = [
        run("converge", changed=9),
        run("disk_full", changed=4, failures=1),
        run("disk_full", changed=1, check=True),
        run("disk_full", changed=0),
        run("api_down", changed=4),
    ]
    rows = remedies(runs, ["api_down", "disk_full"]).splitlines()[-2:]
    assert rows == ["| api_down | 42 s | 23 | - | - |", "| disk_full | - | - | 42 s | 23 |"]


def test_processor_time_is_compared_and_not_the_clock() -> None:
    runs = {"api_latency_info": Run(wall=9.0, cpu=8.0), "jq": Run(wall=33.0, cpu=32.0)}
    text = latency(runs, size=10**9, lines=4_000_000, memory=36.6)
    assert "| jq | 33.0 s | 32.0 s | 4.00 |" in text
    assert text.endswith("Memory of api_latency_info: 37 MiB.")
