# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolved is said only when it is known."""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._alert import (
    Alert,
    await_resolved,
    firing_hosts,
    look,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._probe import Answer
from ansible_collections.koprogo.observability.plugins.module_utils._stack_api import Api

NOW = 1_800_000_000.0
ALERT = Alert(name="DiskFull", host="db1")


class Prometheus:
    """Answers as Prometheus does; tests change what it knows."""

    def __init__(self) -> None:
        self.evaluated = NOW - 10
        self.health = "ok"
        self.rules = ["DiskFull"]
        self.up = {"node": 1, "postgresql": 1}
        self.age = 5.0
        self.state = ""
        self.error = ""
        self.status = 200
        self.firing: list[str] = []
        self.full: dict[str, str] = {}

    def __call__(self, url: str, **_options: Any) -> Answer:
        if self.error:
            return Answer(status=0, body="", error=self.error)
        parts = urllib.parse.urlsplit(url)
        query = urllib.parse.parse_qs(parts.query).get("query", [""])[0]
        if parts.path.endswith("/rules"):
            when = datetime.fromtimestamp(self.evaluated, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
            rows: list[dict[str, Any]] = [
                {"name": name, "health": self.health, "lastEvaluation": f"{when}.123456789Z"}
                for name in self.rules
            ]
            if rows and self.full:
                rows[0]["alerts"] = [
                    {"labels": {"alertname": "DiskFull", "mountpoint": mount}, "value": left}
                    for mount, left in self.full.items()
                ]
            data: dict[str, Any] = {"groups": [{"rules": rows}]}
        elif "alertstate=" in query:
            data = {"result": [{"metric": {"host": host}} for host in self.firing]}
        elif query.startswith("ALERTS"):
            metric: dict[str, Any] = {"alertname": "DiskFull", "alertstate": self.state}
            each = [metric | {"mountpoint": mount} for mount in self.full] or [metric]
            data = {"result": [{"metric": row} for row in each] if self.state else []}
        elif query.startswith("time()"):
            data = {
                "result": [{"metric": {"job": j}, "value": [0, str(self.age)]} for j in self.up]
            }
        else:
            data = {
                "result": [{"metric": {"job": j}, "value": [0, str(v)]} for j, v in self.up.items()]
            }
        return Answer(status=self.status, body=json.dumps({"data": data}))

    def api(self) -> Api:
        return Api(url="http://127.0.0.1:9090", unit="prometheus", where="mon1", fetch=self)


class Time:
    """Sleeping moves the clock and what happens meanwhile."""

    def __init__(self, happen: Callable[[float], None] = lambda _now: None) -> None:
        self.now, self._happen = 0.0, happen

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self._happen(self.now)

    def wait(self, prometheus: Prometheus, **options: float) -> dict[str, Any]:
        values = {"hold": 30.0, "timeout": 100.0} | options
        return await_resolved(
            prometheus.api(),
            ALERT,
            clock=lambda: self.now,
            sleep=self.sleep,
            now=lambda: NOW,
            **values,
        )


@pytest.mark.parametrize(
    ("change", "state", "reason"),
    [
        ({}, "inactive", ""),
        ({"state": "firing"}, "firing", ""),
        ({"state": "pending"}, "pending", ""),
        ({"error": "refused"}, "unknown", "doesn't answer"),
        ({"status": 503}, "unknown", "answered 503"),
        ({"rules": []}, "unknown", "no rule DiskFull"),
        ({"health": "err"}, "unknown", "is err"),
        ({"evaluated": NOW - 500}, "unknown", "last evaluated 500 s ago"),
        ({"up": {}}, "unknown", "no target of host db1"),
        ({"up": {"node": 0}}, "unknown", "target node of host db1 is down"),
        ({"age": 400.0}, "unknown", "is 400 s old"),
        ({"age": float("nan")}, "unknown", "old"),
        ({"state": "firing", "up": {}}, "firing", ""),
    ],
)
def test_what_is_seen(change: dict[str, Any], state: str, reason: str) -> None:
    prometheus = Prometheus()
    vars(prometheus).update(change)
    sight = look(prometheus.api(), ALERT, now=lambda: NOW)
    assert sight.state == state
    assert reason in sight.reason


def test_what_the_rule_measured_is_told_of_each_alert() -> None:
    prometheus = Prometheus()
    prometheus.state, prometheus.full = "firing", {"/": "9.1e-02", "/data": "1e-03", "/odd": "NaN"}
    told = Time().wait(prometheus, hold=0.0, timeout=0.0)["alerts"]
    assert [(row["mountpoint"], row.get("value")) for row in told] == [
        ("/", 0.091),
        ("/data", 0.001),
        ("/odd", None),
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [({}, ""), ({"rules": []}, "no rule DiskFull"), ({"error": "refused"}, "doesn't answer")],
)
def test_where_else_it_fires_and_whether_that_is_known(change: dict[str, Any], reason: str) -> None:
    prometheus = Prometheus()
    prometheus.firing = ["db2", "db1", "db2", ""]
    vars(prometheus).update(change)
    hosts, why = firing_hosts(prometheus.api(), ALERT, now=lambda: NOW)
    assert hosts == ([] if "error" in change else ["db1", "db2"])
    assert reason in why
    assert bool(why) is bool(reason)


def test_only_the_named_jobs_count() -> None:
    prometheus = Prometheus()
    prometheus.up = {"node": 1, "postgresql": 0}
    alert = Alert(name="DiskFull", host="db1", jobs=("node",))
    assert look(prometheus.api(), alert, now=lambda: NOW).state == "inactive"
    alert = Alert(name="DiskFull", host="db1", jobs=("other",))
    assert "no target other" in look(prometheus.api(), alert, now=lambda: NOW).reason


def test_an_answer_of_an_unknown_form_is_no_success() -> None:
    api = Api(
        url="http://x",
        unit="prometheus",
        where="mon1",
        fetch=lambda *_a, **_k: Answer(status=200, body='{"data": []}'),
    )
    assert look(api, ALERT).state == "unknown"


def test_resolved_and_held() -> None:
    prometheus = Prometheus()
    prometheus.state = "firing"

    def happen(now: float) -> None:
        prometheus.state = "firing" if now < 20 else ""

    told = Time(happen).wait(prometheus)
    assert (told["outcome"], told["held"], told["seconds"]) == ("resolved", 30.0, 50.0)
    assert [row["state"] for row in told["history"]] == ["firing", "inactive"]


@pytest.mark.parametrize(
    ("happen", "outcome"),
    [
        (lambda _now, p: setattr(p, "state", "firing"), "not_resolved"),
        # It comes back within the hold time, again and again.
        (lambda now, p: setattr(p, "state", "pending" if now % 20 == 0 else ""), "not_resolved"),
        # Prometheus dies while the alert is away: nothing is known any more.
        (lambda now, p: setattr(p, "error", "refused" if now >= 15 else ""), "inconclusive"),
        # Gone, but not for long enough.
        (lambda now, p: setattr(p, "state", "firing" if now < 90 else ""), "inconclusive"),
    ],
)
def test_all_else_is_not_resolved(
    happen: Callable[[float, Prometheus], None], outcome: str
) -> None:
    prometheus = Prometheus()
    told = Time(lambda now: happen(now, prometheus)).wait(prometheus, hold=30.0)
    assert told["outcome"] == outcome


def test_one_look_without_waiting() -> None:
    prometheus = Prometheus()
    assert Time().wait(prometheus, hold=0.0, timeout=0.0)["outcome"] == "resolved"
    prometheus.state = "firing"
    assert Time().wait(prometheus, hold=0.0, timeout=0.0)["outcome"] == "not_resolved"


@pytest.mark.parametrize(
    "alert",
    [
        Alert(name='x"} or vector(1)', host="db1"),
        Alert(name="DiskFull", host=" "),
        Alert(name="DiskFull", host="db1", max_age=0),
        Alert(name="DiskFull", host="db1", max_age=float("nan")),
    ],
)
def test_odd_names_are_refused(alert: Alert) -> None:
    with pytest.raises(InputError):
        alert.check()


@pytest.mark.parametrize("option", ["hold", "timeout", "interval"])
@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_wait_that_would_never_end_is_refused(option: str, seconds: float) -> None:
    with pytest.raises(InputError, match=f"^{option}: expected from .* found"):
        Time().wait(Prometheus(), **{option: seconds})


def test_a_host_cannot_leave_its_quotes() -> None:
    seen = []

    def fetch(url: str, **_options: Any) -> Answer:
        seen.append(urllib.parse.unquote_plus(url))
        return Prometheus()(url)

    api = Api(url="http://x", unit="prometheus", where="mon1", fetch=fetch)
    look(api, Alert(name="DiskFull", host='db1"} or up{a="'), now=time.time)
    assert any(r'host="db1\"} or up{a=\""' in url for url in seen)
