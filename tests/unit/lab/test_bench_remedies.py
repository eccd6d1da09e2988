# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sections about remediations and their modules say."""

from __future__ import annotations

import re
from typing import Any

import yaml

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts import snake
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_catalogue import ALERTS
from lab.bench_latency import Run
from lab.bench_latency import section as latency
from lab.bench_remedies import HOLD, INTERVAL, LOOKS_BACK
from lab.bench_remedies import section as remedies
from lab.paths import ROOT


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
    assert rows == ["| api_down | - | 42 s | 23 | - | - |", "| disk_full | - | - | - | 42 s | 23 |"]


def test_what_the_time_includes_is_that_of_the_scenario() -> None:
    path = ROOT / "molecule" / "alerts" / "molecule.yml"
    given = yaml.safe_load(path.read_text("utf-8"))["provisioner"]["inventory"]["group_vars"]["all"]
    stack = yaml.safe_load((ROOT / "roles/prometheus/defaults/main.yml").read_text("utf-8"))
    assert given["remediation_hold"] == HOLD
    assert stack["prometheus_scrape_interval"] == f"{INTERVAL}s"
    assert stack["prometheus_evaluation_interval"] == f"{INTERVAL}s"
    found = {}
    for name, alert in ALERTS.items():
        if alert.playbook:
            settings = alert.defaults | given["prometheus_alerts"].get(name, {})
            text = " ".join(tier.expr for tier in alert.tiers)
            text = text.replace("$range", str(settings.get("window", "5m")))
            if windows := set(re.findall(r"\[(\d+m)\]|:rate(\d+m)", text)):
                (found[snake(name)],) = {one or other for one, other in windows}
    assert found == {name: text.split()[0] for name, text in LOOKS_BACK.items()}
    text = remedies([run("high_cpu", changed=4)], ["high_cpu"])
    assert f"{HOLD} s for which it has to stay away" in text
    assert text.endswith("| high_cpu | 1m | 42 s | 23 | - | - |")


def test_processor_time_is_compared_and_not_the_clock() -> None:
    runs = {"api_latency_info": Run(wall=9.0, cpu=8.0), "jq": Run(wall=33.0, cpu=32.0)}
    text = latency(runs, size=10**9, lines=4_000_000, memory=36.6)
    assert "| jq | 33.0 s | 32.0 s | 4.00 |" in text
    assert text.endswith("Memory of api_latency_info: 37 MiB.")
