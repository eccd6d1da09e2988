# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Questions to a running Alertmanager and Grafana: cluster, routes, data sources, dashboards."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._stack import (
    Check,
    Question,
    failed,
    passed,
    skipped,
)
from ansible_collections.koprogo.observability.plugins.module_utils._stack_api import Api

__all__ = ["alertmanager_questions", "grafana_questions"]

# The receiver that tells nobody, until there is another one.
_NOWHERE = "nowhere"
# What a data source answers through Grafana's proxy when both are well.
_PROXIED = {
    "prometheus": "/api/v1/query?query=1",
    "loki": "/loki/api/v1/labels",
    "alertmanager": "/api/v2/status",
}


def _cluster(api: Api, members: int) -> list[Check]:
    check = "Alertmanager cluster"
    cluster = api.json("/api/v2/status")["cluster"]
    peers = [peer["address"] for peer in cluster.get("peers") or []]
    status = cluster["status"]
    look = f"amtool --alertmanager.url={api.url} cluster show"
    if members <= 1:
        if status == "disabled":
            return [passed(check, api.where, "one monitoring host, no gossip")]
        return [failed(check, api.where, f"gossip is {status}, expected none on one host", look)]
    if status == "ready" and len(peers) == members:
        return [passed(check, api.where, f"{len(peers)} members, ready")]
    evidence = f"{status} with {len(peers)} members, expected ready with {members}"
    return [failed(check, api.where, evidence, look)]


def _route(api: Api, runner: Runner, route: Mapping[str, Any]) -> list[Check]:
    """Where the running Alertmanager would send an alert with the route's labels."""
    labels: Mapping[str, str] = route["labels"]
    receivers = list(route.get("receivers") or [])
    shown = " ".join(f"{name}={value}" for name, value in labels.items())
    check = f"route of {shown}"
    argv = ["amtool", f"--alertmanager.url={api.url}", "config", "routes", "test", *shown.split()]
    result = runner.run(argv, timeout=20)
    look = " ".join(argv)
    if not result.ok:
        return [failed(check, api.where, result.output or f"amtool ended with {result.rc}", look)]
    actual = result.stdout.strip()
    if not actual:
        return [failed(check, api.where, "reaches no receiver", look)]
    if receivers and set(actual.split(",")) != set(receivers):
        evidence = f"reaches {actual}, expected {','.join(receivers)}"
        return [failed(check, api.where, evidence, look)]
    if actual == _NOWHERE and not receivers:
        # The same for every such route, and so one row.
        reason = (
            "alerts are told to nobody: set alertmanager_pagerduty, alertmanager_slack "
            "or alertmanager_sms"
        )
        return [skipped("notifications", api.where, reason)]
    return [passed(check, api.where, f"reaches {actual}")]


def alertmanager_questions(api: Api, runner: Runner, options: Mapping[str, Any]) -> list[Question]:
    """All questions to Alertmanager.

    options: C(members) of the cluster, C(routes) with C(labels) and C(receivers).
    """
    questions: list[Question] = [
        api.asked("Alertmanager cluster", lambda: _cluster(api, options["members"]))
    ]
    questions += [
        api.asked("routes", partial(_route, api, runner, entry)) for entry in options["routes"]
    ]
    return questions


def _data_sources(api: Api) -> list[Check]:
    checks = []
    for source in api.json("/api/datasources"):
        check = f"data source {source['name']}"
        path = _PROXIED.get(source["type"])
        if path is None:
            reason = f"type {source['type']} isn't one of ours"
            checks.append(skipped(check, api.where, reason))
            continue
        # Through the proxy: Grafana itself asks with the address and credentials it has.
        api.json(f"/api/datasources/proxy/uid/{source['uid']}{path}")
        checks.append(passed(check, api.where, f"{source['type']} at {source.get('url')} answers"))
    if not any(check.result == "passed" for check in checks):
        look = f"{api.curl('/api/datasources')} -u admin"
        checks.append(failed("data sources", api.where, "Grafana has none of ours", look))
    return checks


def _health(api: Api) -> list[Check]:
    health = api.json("/api/health")
    if health.get("database") == "ok":
        version = health.get("version", "of unknown version")
        return [passed("Grafana answers", api.where, f"Grafana {version}, database ok")]
    return [failed("Grafana answers", api.where, f"health: {health}", api.look)]


def _dashboards(api: Api, wanted: Mapping[str, str]) -> list[Check]:
    found = {row["uid"] for row in api.json("/api/search?type=dash-db&limit=5000")}
    if missing := sorted(title for uid, title in wanted.items() if uid not in found):
        look = f"{api.curl('/api/search')} -u admin"
        return [failed("dashboards", api.where, f"Grafana lacks {', '.join(missing)}", look)]
    return [passed("dashboards", api.where, f"Grafana has all {len(wanted)} of ours")]


def grafana_questions(api: Api, dashboards: Mapping[str, str]) -> list[Question]:
    """All questions to Grafana. ``api`` carries the administrator's credentials, if there are any.

    dashboards: titles of those that it must have, by uid.
    """
    questions: list[Question] = [api.asked("Grafana answers", lambda: _health(api))]
    asked = {"data sources": lambda: _data_sources(api)}
    if dashboards:
        asked["dashboards"] = lambda: _dashboards(api, dashboards)
    if api.headers:
        return questions + [api.asked(name, ask) for name, ask in asked.items()]
    reason = "grafana_admin_password isn't known here"
    unasked = [skipped(name, api.where, reason) for name in asked]
    return [*questions, lambda: unasked]
