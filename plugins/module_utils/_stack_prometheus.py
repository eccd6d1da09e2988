# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Questions to a running Prometheus: targets, retention, rules, metrics, queries."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._stack import (
    Check,
    Question,
    failed,
    listed,
    passed,
    skipped,
)
from ansible_collections.koprogo.observability.plugins.module_utils._stack_api import Api, seconds

__all__ = ["fresh_question", "prometheus_questions"]

_DAY = 86_400
_LONGEST_AGE = 100 * 365 * _DAY


def fresh_question(api: Api, options: Mapping[str, Any]) -> Question:
    """Whether every target was scraped since the questions began: older data says nothing about now.

    options: C(since), a Unix time in seconds, and C(wait), for how many seconds this is asked.
    Targets that are scraped less often than that are not waited for.
    """

    def ask() -> list[Check]:
        old = []
        for target in api.data("/api/v1/targets", state="active")["activeTargets"]:
            if seconds(str(target.get("scrapeInterval", ""))) >= float(options["wait"]):
                continue
            scraped = datetime.fromisoformat(target["lastScrape"])
            if scraped.timestamp() < float(options["since"]):
                labels = target["labels"]
                old.append(f"{labels.get('job')} of {labels.get('instance')}")
        if old:
            evidence = f"no scrape since this verification began: {listed(old)}"
            return [failed("targets scraped", api.where, evidence, api.look)]
        return []

    return api.asked("targets scraped", ask)


def _targets(api: Api, options: Mapping[str, Any]) -> list[Check]:
    name = "targets up"
    wanted = {(t["job"], t["instance"]): t.get("unit", "") for t in options["targets"]}
    found: dict[tuple[str, str], Any] = {}
    for target in api.data("/api/v1/targets", state="active")["activeTargets"]:
        labels = target["labels"]
        found[(labels.get("job", ""), labels.get("instance", ""))] = target
    checks = []
    for job, instance in sorted(wanted.keys() - found.keys()):
        evidence = f"{job} of {instance} isn't a target, the inventory asks for it"
        look = api.curl("/api/v1/targets", state="active")
        checks.append(failed(name, api.where, evidence, look))
    for (job, instance), state in found.items():
        ours = (job, instance) in wanted
        if not ours and job not in options["allowed_jobs"]:
            evidence = f"{job} of {instance} is a target, the inventory doesn't ask for it"
            look = "grep -n -B3 -A8 static_configs /etc/koprogo/prometheus/prometheus.yml"
            checks.append(failed(name, api.where, evidence, look))
        elif state["health"] != "up":
            unit = wanted.get((job, instance), "")
            error = state.get("lastError") or "not scraped yet"
            evidence = f"{job} of {instance} is {state['health']}: {error}"
            if ours and unit:
                evidence += "" if instance == api.where else f" (as {api.where} sees it)"
                checks.append(failed(name, instance, evidence, f"systemctl status {unit}"))
            else:
                checks.append(failed(name, api.where, evidence, api.look))
    return checks or [passed(name, api.where, f"{len(found)} up, all expected, none else")]


def _retention(api: Api, expected: str) -> list[Check]:
    check = "retention of metrics"
    actual = str(api.data("/api/v1/status/flags").get("storage.tsdb.retention.time", ""))
    if seconds(actual) == seconds(expected):
        oldest = ""
        answer = api.data("/api/v1/query", query="prometheus_tsdb_lowest_timestamp_seconds")[
            "result"
        ]
        if answer:
            value = float(answer[0]["value"][1])
            age = float(answer[0]["value"][0]) - value
            # Prometheus says 0 or the largest integer before it has a block.
            if value > 0 and 0 < age < _LONGEST_AGE:
                oldest = f", oldest sample {age / _DAY:.1f} days old"
        return [passed(check, api.where, f"{actual}{oldest}")]
    return [
        failed(
            check,
            api.where,
            f"runs with {actual or 'no limit of time'}, configured is {expected}",
            f"systemctl cat {api.unit}; {api.curl('/api/v1/status/flags')}",
        )
    ]


def _rules(api: Api) -> list[Check]:
    groups = api.data("/api/v1/rules")["groups"]
    rules = [(g["name"], rule) for g in groups for rule in g["rules"]]
    broken = [(g, rule) for g, rule in rules if rule.get("health") == "err"]
    if broken:
        return [
            failed(
                "rules evaluate",
                api.where,
                f"{group}/{rule['name']}: {rule.get('lastError')}",
                api.curl("/api/v1/rules"),
            )
            for group, rule in broken
        ]
    return [passed("rules evaluate", api.where, f"{len(rules)} rules in {len(groups)} groups")]


def _alertmanagers(api: Api) -> list[Check]:
    active = api.data("/api/v1/alertmanagers")["activeAlertmanagers"]
    if active:
        hosts = listed(urllib.parse.urlsplit(one["url"]).netloc for one in active)
        return [passed("alerts have somewhere to go", api.where, f"Prometheus sends to {hosts}")]
    return [
        failed(
            "alerts have somewhere to go",
            api.where,
            "Prometheus knows no Alertmanager",
            api.curl("/api/v1/alertmanagers"),
        )
    ]


def _reloads(api: Api) -> list[Check]:
    query = '{__name__=~".+_config_last_reload_successful"}'
    rows = api.data("/api/v1/query", query=query)["result"]
    bad = [row["metric"] for row in rows if float(row["value"][1]) != 1]
    if bad:
        return [
            failed(
                "configuration loaded",
                m.get("instance", api.where),
                f"{m.get('job')} refused its last configuration and runs with the one before",
                f"journalctl -u '*{m.get('job')}*' -n 50 --no-pager",
            )
            for m in bad
        ]
    names = sorted({f"{row['metric'].get('job')}" for row in rows})
    return [passed("configuration loaded", api.where, f"last reload succeeded: {listed(names)}")]


def _metrics(api: Api, expected: Mapping[str, Iterable[str]]) -> list[Check]:
    """A sample of each expected metric, all names of a job in one query."""
    checks = []
    for job, names in expected.items():
        wanted = list(names)
        query = f'count by (__name__) ({{job="{job}",__name__=~"{"|".join(wanted)}"}})'
        found = {
            row["metric"]["__name__"]: int(float(row["value"][1]))
            for row in api.data("/api/v1/query", query=query)["result"]
        }
        missing = [name for name in wanted if name not in found]
        check = f"metrics of {job}"
        if missing:
            evidence = f"no sample of {listed(missing)}"
            checks.append(failed(check, api.where, evidence, api.promtool(query)))
        else:
            series = sum(found.values())
            checks.append(passed(check, api.where, f"all {len(found)} names, {series} series"))
    return checks


def _shown(row: Mapping[str, Any]) -> str:
    """A sample as PromQL writes it, without the labels that every series has."""
    labels = {k: v for k, v in row["metric"].items() if k not in ("__name__", "deployment", "host")}
    name = row["metric"].get("__name__", "")
    pairs = ", ".join(f'{k}="{v}"' for k, v in sorted(labels.items()))
    return f"{name}{{{pairs}}} is {row['value'][1]}"


def _query(api: Api, entry: Mapping[str, str]) -> list[Check]:
    check, query = f"PromQL: {entry['name']}", entry["query"]
    rows = api.data("/api/v1/query", query=query)["result"]
    if entry.get("empty"):
        if not rows:
            return [passed(check, api.where, f"nothing has {query}")]
        look = api.promtool(query)
        return [
            failed(check, row["metric"].get("instance", api.where), _shown(row), look)
            for row in rows
        ]
    values = [row["value"][1] for row in rows]
    usable = [value for value in values if value != "NaN"]
    if usable:
        return [passed(check, api.where, f"{len(usable)} series, such as {float(usable[0]):.4g}")]
    if entry.get("idle"):
        return [skipped(check, api.where, entry["idle"])]
    evidence = "only NaN" if values else "no data"
    return [failed(check, api.where, f"{evidence}: {query}", api.promtool(query))]


def prometheus_questions(api: Api, options: Mapping[str, Any]) -> list[Question]:
    """All questions to Prometheus.

    options: C(targets), C(allowed_jobs), C(retention), C(metrics) by job, C(queries) with C(name),
    C(query), C(empty) for one that finds what is wrong, and C(idle) for one that may have nothing to
    say: the reason.
    """
    questions: list[Question] = [
        api.asked("targets up", lambda: _targets(api, options)),
        api.asked("retention of metrics", lambda: _retention(api, options["retention"])),
        api.asked("rules evaluate", lambda: _rules(api)),
        api.asked("configuration loaded", lambda: _reloads(api)),
        api.asked("alerts have somewhere to go", lambda: _alertmanagers(api)),
        api.asked("metrics", lambda: _metrics(api, options["metrics"])),
    ]
    questions += [
        api.asked(f"PromQL: {entry['name']}", partial(_query, api, entry))
        for entry in options["queries"]
    ]
    return questions
