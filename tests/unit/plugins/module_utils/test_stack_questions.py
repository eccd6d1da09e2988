# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Questions to the running daemons, answered by canned APIs."""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._probe import Answer
from ansible_collections.koprogo.observability.plugins.module_utils._run import Result
from ansible_collections.koprogo.observability.plugins.module_utils._stack import (
    Check,
    ask_until,
    failed,
    listed,
    passed,
)
from ansible_collections.koprogo.observability.plugins.module_utils._stack_api import Api, seconds
from ansible_collections.koprogo.observability.plugins.module_utils._stack_loki import (
    loki_questions,
    yaml_scalars,
)
from ansible_collections.koprogo.observability.plugins.module_utils._stack_prometheus import (
    fresh_question,
    prometheus_questions,
)
from ansible_collections.koprogo.observability.plugins.module_utils._stack_services import (
    alertmanager_questions,
    grafana_questions,
)

Pages = dict[str, Any]


def api(pages: Pages, **more: Any) -> Api:
    """An API whose pages are given by path; a callable gets the query's parameters."""

    def fetch(url: str, **_options: Any) -> Answer:
        parts = urllib.parse.urlsplit(url)
        page = pages.get(parts.path)
        if callable(page):
            page = page(dict(urllib.parse.parse_qsl(parts.query)))
        if page is None:
            return Answer(status=404, body="page not found")
        return Answer(status=200, body=page if isinstance(page, str) else json.dumps(page))

    return Api(url="http://127.0.0.1:1", unit="x.service", where="mon1", fetch=fetch, **more)


def target(job: str, instance: str, health: str = "up", error: str = "") -> dict[str, Any]:
    return {"labels": {"job": job, "instance": instance}, "health": health, "lastError": error}


def vector(*values: str, **labels: str) -> dict[str, Any]:
    return {"data": {"result": [{"metric": labels, "value": [1e9, value]} for value in values]}}


def prometheus(found: list[dict[str, Any]], flags: str = "30d", pages: Pages | None = None) -> Api:
    return api(
        {
            "/api/v1/targets": {"data": {"activeTargets": found}},
            "/api/v1/status/flags": {"data": {"storage.tsdb.retention.time": flags}},
            "/api/v1/rules": {"data": {"groups": []}},
            "/api/v1/alertmanagers": {"data": {"activeAlertmanagers": [{"url": "http://a:1/x"}]}},
            "/api/v1/query": vector("1", job="node"),
            **(pages or {}),
        }
    )


OPTIONS: dict[str, Any] = {
    "targets": [
        {"job": "node", "instance": "db1", "unit": "node.service"},
        {"job": "node", "instance": "mon1", "unit": "node.service"},
    ],
    "allowed_jobs": ["mine"],
    "retention": "30d",
    "metrics": {},
    "queries": [],
}


def found(checks: list[Check], name: str) -> list[Check]:
    return [check for check in checks if check.check == name]


def ask(questions: list[Callable[[], list[Check]]]) -> list[Check]:
    return ask_until(questions, timeout=0)


BOTH = [target("node", "db1"), target("node", "mon1")]


@pytest.mark.parametrize(
    ("targets", "where", "evidence"),
    [
        ([target("node", "mon1")], "mon1", "node of db1 isn't a target"),
        ([*BOTH, target("old", "gone")], "mon1", "old of gone is a target, the inventory doesn't"),
        (
            [target("node", "mon1"), target("node", "db1", "down", "connection refused")],
            "db1",
            "node of db1 is down: connection refused (as mon1 sees it)",
        ),
        ([*BOTH, target("mine", "m", "down", "x")], "mon1", "mine of m is down: x"),
    ],
    ids=["missing", "unexpected", "down", "own job down"],
)
def test_targets_that_differ_are_named(
    targets: list[dict[str, Any]], where: str, evidence: str
) -> None:
    checks = found(ask(prometheus_questions(prometheus(targets), OPTIONS)), "targets up")
    assert [(c.result, c.where) for c in checks] == [("failed", where)]
    assert evidence in checks[0].evidence
    assert checks[0].look


@pytest.mark.parametrize(
    ("scraped", "interval", "result"),
    [
        ("2026-01-01T12:00:01.123456789Z", "15s", "passed"),
        ("2026-01-01T11:59:59.123456789+00:00", "15s", "failed"),
        ("2026-01-01T11:59:59.1Z", "5m", "passed"),
    ],
    ids=["fresh", "from before", "nobody waits that long"],
)
def test_an_old_health_says_nothing(scraped: str, interval: str, result: str) -> None:
    since = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
    targets = [{**one, "lastScrape": scraped, "scrapeInterval": interval} for one in BOTH]
    question = fresh_question(prometheus(targets), {"since": since, "wait": 45})
    assert [c.result for c in question()] == ([] if result == "passed" else ["failed"])


def test_what_must_not_be_there_is_named() -> None:
    options = {**OPTIONS, "queries": [{"name": "q", "query": "up == 0", "empty": True}]}
    page = vector("0", __name__="probe_success", instance="api1", job="health", host="api1")

    def answer(asked: dict[str, str]) -> Any:
        return page if asked["query"] == "up == 0" else vector()

    checks = ask(prometheus_questions(prometheus(BOTH, pages={"/api/v1/query": answer}), options))
    seen = found(checks, "PromQL: q")
    assert [(c.result, c.where) for c in seen] == [("failed", "api1")]
    assert seen[0].evidence == 'probe_success{instance="api1", job="health"} is 0'
    checks = ask(prometheus_questions(prometheus(BOTH, pages={"/api/v1/query": vector()}), options))
    assert [c.result for c in found(checks, "PromQL: q")] == ["passed"]


def test_expected_targets_and_own_jobs_pass() -> None:
    checks = ask(prometheus_questions(prometheus([*BOTH, target("mine", "m")]), OPTIONS))
    assert [check.result for check in checks] == ["passed"] * len(checks)


@pytest.mark.parametrize(
    ("flags", "result"), [("4w2d", "passed"), ("15d", "failed"), ("", "failed")]
)
def test_retention_is_compared_as_a_time(flags: str, result: str) -> None:
    checks = ask(prometheus_questions(prometheus(BOTH, flags), OPTIONS))
    assert [c.result for c in found(checks, "retention of metrics")] == [result]


def test_a_rule_that_fails_is_named() -> None:
    rule = {"name": "Slow", "health": "err", "lastError": "many-to-many"}
    pages: Pages = {"/api/v1/rules": {"data": {"groups": [{"name": "api", "rules": [rule]}]}}}
    checks = ask(prometheus_questions(prometheus(BOTH, pages=pages), OPTIONS))
    assert found(checks, "rules evaluate")[0].evidence == "api/Slow: many-to-many"


def test_a_refused_reload_is_named() -> None:
    pages: Pages = {"/api/v1/query": vector("0", job="loki", instance="mon1")}
    checks = ask(prometheus_questions(prometheus(BOTH, pages=pages), OPTIONS))
    assert found(checks, "configuration loaded")[0].result == "failed"


def test_prometheus_without_alertmanager() -> None:
    pages: Pages = {"/api/v1/alertmanagers": {"data": {"activeAlertmanagers": []}}}
    checks = ask(prometheus_questions(prometheus(BOTH, pages=pages), OPTIONS))
    assert found(checks, "alerts have somewhere to go")[0].result == "failed"


@pytest.mark.parametrize(
    ("page", "idle", "result", "evidence"),
    [
        (vector("1.5"), "", "passed", "1 series, such as 1.5"),
        (vector(), "", "failed", "no data: up"),
        (vector("NaN"), "", "failed", "only NaN: up"),
        (vector("NaN", "2"), "", "passed", "1 series"),
        (vector("NaN"), "nobody asked", "skipped", "nobody asked"),
    ],
)
def test_queries_must_have_usable_data(
    page: dict[str, Any], idle: str, result: str, evidence: str
) -> None:
    options = {**OPTIONS, "queries": [{"name": "q", "query": "up", "idle": idle}]}
    pages: Pages = {"/api/v1/query": lambda asked: page if asked["query"] == "up" else vector()}
    checks = found(ask(prometheus_questions(prometheus(BOTH, pages=pages), options)), "PromQL: q")
    assert [c.result for c in checks] == [result]
    assert evidence in checks[0].evidence


def test_a_metric_without_sample_is_named() -> None:
    options = {**OPTIONS, "metrics": {"node": ["node_load1", "node_gone"]}}
    page = vector("3", __name__="node_load1", job="node")
    checks = ask(prometheus_questions(prometheus(BOTH, pages={"/api/v1/query": page}), options))
    assert found(checks, "metrics of node")[0].evidence == "no sample of node_gone"


def test_a_dead_daemon_is_said_once_per_question_in_the_same_words() -> None:
    dead = Api(
        url="http://127.0.0.1:1",
        unit="prometheus.service",
        where="mon1",
        fetch=lambda *_a, **_k: Answer(status=0, body="", error="connection refused"),
    )
    assert len(set(ask(prometheus_questions(dead, OPTIONS)))) == 1


def test_an_odd_answer_is_a_failed_check_and_no_crash() -> None:
    odd = api({"/api/v1/targets": {"data": None}, "/api/v1/rules": "<html>"})
    checks = ask(prometheus_questions(odd, OPTIONS))
    assert {check.result for check in checks} == {"failed"}
    assert "unknown form" in found(checks, "targets up")[0].evidence
    assert "no JSON" in found(checks, "rules evaluate")[0].evidence
    assert "answered 404" in found(checks, "alerts have somewhere to go")[0].evidence


CONFIG = """\
target: all
limits_config:
  ingestion_rate_mb: 4
  retention_period: 1w
  retention_stream:
    - selector: '{a="b"}'
      period: 1d
  shard_streams:
    enabled: true
compactor:
  working_directory: /var/lib/loki/compactor
  retention_enabled: true
  delete_request_store: filesystem
"""
LOKI: dict[str, Any] = {"retention": "7d", "marks": [], "queries": []}


def streams(*rows: tuple[str, str, str]) -> dict[str, Any]:
    result = [{"stream": {"job": j, "host": h}, "values": [["1", line]]} for j, h, line in rows]
    return {"data": {"result": result}}


def loki(page: Any, config: str = CONFIG) -> Api:
    return api({"/config": config, "/loki/api/v1/query_range": page})


def mark(job: str, host: str, token: str) -> dict[str, Any]:
    return {"job": job, "host": host, "token": token, "written": time.time()}


def test_scalars_of_yaml() -> None:
    assert yaml_scalars(CONFIG)["limits_config.retention_period"] == "1w"
    assert yaml_scalars(CONFIG)["limits_config.shard_streams.enabled"] == "true"
    assert yaml_scalars(CONFIG)["compactor.retention_enabled"] == "true"
    assert "limits_config.period" not in yaml_scalars(CONFIG)


@pytest.mark.parametrize(
    ("config", "evidence"),
    [
        (CONFIG.replace("1w", "30d"), "runs with 30d, configured is 7d"),
        (CONFIG.replace("enabled: true", "enabled: false"), "nothing is ever deleted"),
        ("target: all\n", "runs with none"),
    ],
)
def test_loki_that_keeps_or_never_deletes(config: str, evidence: str) -> None:
    checks = ask(loki_questions(loki(streams(), config), LOKI))
    assert [c.result for c in checks] == ["failed"]
    assert evidence in checks[0].evidence


def test_each_marked_line_is_looked_for_under_its_labels() -> None:
    marks = [mark("auth", "db1", "aaa"), mark("system", "db1", "aaa"), mark("auth", "api1", "bbb")]
    page = streams(("auth", "db1", "x aaa"), ("wrong", "db1", "x aaa"))
    checks = ask(loki_questions(loki(page), {**LOKI, "marks": marks}))
    seen = {(c.check, c.where): c for c in checks if c.check.startswith("log arrives")}
    assert seen[("log arrives: auth", "db1")].result == "passed"
    assert seen[("log arrives: auth", "api1")].result == "failed"
    assert "(but: job=auth, host=db1; job=wrong" in seen[("log arrives: system", "db1")].evidence


def test_a_log_query_may_be_empty_only_without_a_marked_line() -> None:
    query = {"name": "q", "query": "{}", "job": "auth"}
    without = ask(loki_questions(loki(streams()), {**LOKI, "queries": [query]}))
    marks = [mark("auth", "db1", "aaa")]
    with_mark = ask(loki_questions(loki(streams()), {**LOKI, "queries": [query], "marks": marks}))
    assert [c.result for c in found(without, "LogQL: q")] == ["skipped"]
    assert [c.result for c in found(with_mark, "LogQL: q")] == ["failed"]


class FakeRunner:
    """Answers every command with the same text."""

    def __init__(self, stdout: str = "pager\n", rc: int = 0) -> None:
        self.result = Result(argv=["amtool"], rc=rc, stdout=stdout, stderr="", seconds=0.0)

    def run(self, *_arguments: Any, **_options: Any) -> Result:
        return self.result


def cluster(status: str, members: int) -> Api:
    peers = [{"address": f"192.0.2.{n}:9094"} for n in range(members)]
    return api({"/api/v2/status": {"cluster": {"status": status, "peers": peers}}})


@pytest.mark.parametrize(
    ("status", "seen", "members", "result"),
    [
        ("disabled", 0, 1, "passed"),
        ("ready", 1, 1, "failed"),
        ("ready", 2, 2, "passed"),
        ("ready", 1, 2, "failed"),
        ("settling", 2, 2, "failed"),
        ("disabled", 0, 2, "failed"),
    ],
)
def test_cluster(status: str, seen: int, members: int, result: str) -> None:
    options = {"members": members, "routes": []}
    runner: Any = FakeRunner()
    assert [
        c.result for c in ask(alertmanager_questions(cluster(status, seen), runner, options))
    ] == [result]


@pytest.mark.parametrize(
    ("stdout", "rc", "wanted", "result"),
    [
        ("pager,slack\n", 0, ["slack", "pager"], "passed"),
        ("pager\n", 0, [], "passed"),
        ("slack\n", 0, ["pager"], "failed"),
        ("", 0, [], "failed"),
        ("", 1, [], "failed"),
    ],
)
def test_routes(stdout: str, rc: int, wanted: list[str], result: str) -> None:
    options = {
        "members": 1,
        "routes": [{"labels": {"severity": "critical"}, "receivers": wanted}],
    }
    runner: Any = FakeRunner(stdout, rc)
    checks = ask(alertmanager_questions(cluster("disabled", 0), runner, options))
    assert [c.result for c in found(checks, "route of severity=critical")] == [result]


def test_alerts_that_nobody_is_told_are_one_line_and_no_failure() -> None:
    labels = ({"severity": "critical"}, {"severity": "warning"})
    options = {"members": 1, "routes": [{"labels": one, "receivers": []} for one in labels]}
    runner: Any = FakeRunner("nowhere", 0)
    checks = ask(alertmanager_questions(cluster("disabled", 0), runner, options))
    told = found(checks, "notifications")
    assert {c.result for c in told} == {"skipped"}
    assert len(set(told)) == 1
    assert "alertmanager_pagerduty" in told[0].evidence


def test_data_sources_are_asked_through_grafana() -> None:
    sources = [
        {"name": "P", "type": "prometheus", "uid": "p", "url": "http://127.0.0.1:9090"},
        {"name": "T", "type": "testdata", "uid": "t"},
    ]
    pages: Pages = {
        "/api/health": {"database": "ok", "version": "11.6"},
        "/api/datasources": sources,
        "/api/datasources/proxy/uid/p/api/v1/query": {"status": "success"},
    }
    checks = ask(grafana_questions(api(pages, headers={"Authorization": "x"}), {}))
    assert [c.result for c in checks] == ["passed", "passed", "skipped"]
    del pages["/api/datasources/proxy/uid/p/api/v1/query"]
    checks = ask(grafana_questions(api(pages, headers={"Authorization": "x"}), {}))
    assert [c.result for c in checks] == ["passed", "failed"]


def test_grafana_has_the_dashboards_that_were_provisioned() -> None:
    pages: Pages = {
        "/api/health": {"database": "ok"},
        "/api/datasources": [],
        "/api/search": lambda query: [{"uid": "a"}] if query["type"] == "dash-db" else [],
    }
    look = api(pages, headers={"Authorization": "x"})
    there, missing = (
        ask(grafana_questions(look, wanted))[-1]
        for wanted in ({"a": "A"}, {"a": "A", "b": "B", "c": "C"})
    )
    assert (there.check, there.result) == ("dashboards", "passed")
    assert (missing.result, missing.evidence) == ("failed", "Grafana lacks B, C")


def test_grafana_without_a_password_says_so() -> None:
    checks = ask(grafana_questions(api({"/api/health": {"database": "ok"}}), {"a": "A"}))
    assert [c.result for c in checks] == ["passed", "skipped", "skipped"]


def test_only_what_failed_is_asked_again() -> None:
    asked = {"good": 0, "late": 0}

    def good() -> list[Check]:
        asked["good"] += 1
        return [passed("good", "h", "")]

    def late() -> list[Check]:
        asked["late"] += 1
        return [passed("late", "h", "")] if asked["late"] == 3 else [failed("late", "h", "", "")]

    clock = iter(range(100))
    checks = ask_until(
        [late, good], timeout=30, clock=lambda: float(next(clock)), sleep=lambda _s: None
    )
    assert asked == {"good": 1, "late": 3}
    assert [(c.check, c.result) for c in checks] == [("late", "passed"), ("good", "passed")]


def test_asking_ends() -> None:
    clock = iter(range(100))
    checks = ask_until(
        [lambda: [failed("x", "h", "", "")]],
        timeout=5,
        clock=lambda: float(next(clock)),
        sleep=lambda _s: None,
    )
    assert checks[0].result == "failed"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30d", 2_592_000), ("720h0m0s", 2_592_000), ("1w", 604_800), ("", 0), ("x", 0), ("5 d", 0)],
)
def test_seconds(text: str, expected: float) -> None:
    assert seconds(text) == expected


def test_listed() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed("abcdefgh", most=2) == "a, b and 6 more"
