"""Cases of alerts as data, and promtool on rules that are rendered as role prometheus renders them.

A case in C(cases/*.yml):

- name: what it shows
  series: promtool's notation by series; C(<db1>) stands for the labels of that host's targets
  fires: time to the hosts for which the alert fires then (deployments for alerts about those)
  alerts, hosts: C(prometheus_alerts), and C(koprogo_alerts) by host, where not the defaults
  labels: matchers of the alerts that count, all unless given
  interval: how often is scraped and evaluated, 15s unless given
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_catalogue import ALERTS
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_rules import (
    Links,
    prometheus_rule_files,
)

__all__ = ["CASES", "GROUPS", "HOSTVARS", "LINKS", "Case", "check", "rules_of"]

Case = Mapping[str, Any]

DEPLOYMENT = "test"
LINKS = Links(runbook="https://runbook.example", dashboard="https://grafana.example")
HOSTVARS = {name: {"koprogo_deployment": DEPLOYMENT} for name in ("mon1", "api1", "db1")}
GROUPS = {
    "all": ["mon1", "api1", "db1"],
    "monitoring": ["mon1"],
    "api": ["api1"],
    "database": ["db1"],
}


def _cases() -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for path in sorted((Path(__file__).parent / "cases").glob("*.yml")):
        found |= yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


#: The cases of each alert that Prometheus evaluates.
CASES = _cases()


def rules_of(
    alerts: Mapping[str, Any], hosts: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    """The rule files for these settings."""
    variables = {
        name: values | {"koprogo_alerts": (hosts or {}).get(name, {})}
        for name, values in HOSTVARS.items()
    }
    return prometheus_rule_files("mon1", GROUPS, variables, alerts=alerts, links=LINKS)


@cache
def _targets(name: str) -> str:
    return f'instance="{name}",host="{name}",deployment="{DEPLOYMENT}"'


def _series(text: str) -> str:
    return re.sub(r"<(\w+)>", lambda match: _targets(match[1]), text)


def _values(text: str) -> str:
    """promtool repeats numbers (1x3; 0+0x3, for 0x3 is hexadecimal) but not NaN: NaN*3 is ours."""
    return re.sub(r"NaN\*(\d+)", lambda match: " ".join(["NaN"] * int(match[1])), str(text))


def _expected(found: Iterable[str], label: str) -> list[dict[str, Any]]:
    return [
        {"labels": f'{{{label}="{name}"}}', "value": count}
        for name, count in Counter(found).items()
    ]


def _test(name: str, case: Case) -> dict[str, Any]:
    label = "host" if "host" in ALERTS[name].labels else "deployment"
    also = case.get("labels", "")
    query = f'count by ({label}) (ALERTS{{alertname="{name}",alertstate="firing",{also}}})'
    return {
        "name": case["name"],
        "interval": case.get("interval", "15s"),
        "input_series": [
            {"series": _series(series), "values": _values(values)}
            for series, values in case["series"].items()
        ],
        "promql_expr_test": [
            {"expr": query, "eval_time": time, "exp_samples": _expected(hosts, label)}
            for time, hosts in case["fires"].items()
        ],
    }


def _needed(name: str, files: Mapping[str, Any]) -> dict[str, Any]:
    """The rule files without what the alert does not stand on: promtool evaluates all that is there."""
    rules = [rule for file in files.values() for rule in file["groups"][0]["rules"]]
    used = [rule for rule in rules if rule.get("alert") == name]
    for rule in used:
        # The list grows while it is read, by what each of its rules stands on.
        used += [r for r in rules if r.get("record", name) in rule["expr"] and r not in used]
    needed = {}
    for part, content in files.items():
        [group] = content["groups"]
        if kept := [rule for rule in group["rules"] if rule in used]:
            needed[part] = {"groups": [{**group, "rules": kept}]}
    return needed


def _write(path: Path, content: Any) -> Path:
    # YAML as well, and many times faster to write.
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def check(
    promtool: Path, folder: Path, name: str, cases: Iterable[Case], alerts: Mapping[str, Any]
) -> str:
    """What promtool says of an alert's cases under settings; empty when all of them hold."""
    order = ["koprogo-targets", ALERTS[name].group]
    alike: dict[str, list[Case]] = {}
    for case in cases:
        settings = [case.get(key) for key in ("alerts", "hosts", "interval")]
        alike.setdefault(json.dumps(settings), []).append(case)
    files = []
    for number, group in enumerate(alike.values()):
        case = group[0]
        rules = rules_of({**alerts, **case.get("alerts", {})}, case.get("hosts"))
        written = [
            str(_write(folder / f"{number}-{part}.yml", content))
            # A group whose only alert is off is not there.
            for part, content in _needed(name, {p: rules[p] for p in order if p in rules}).items()
        ]
        test = {
            "rule_files": written,
            "evaluation_interval": case.get("interval", "15s"),
            "group_eval_order": order,
            "tests": [_test(name, one) for one in group],
        }
        files.append(_write(folder / f"{number}-test.yml", test))
    done = subprocess.run(
        [promtool, "test", "rules", *files], capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr
