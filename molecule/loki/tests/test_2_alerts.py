"""Loki's alerts on both sides of their thresholds, by its own rules; the lines that alerts lead to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_catalogue import ALERTS
from ansible_collections.koprogo.observability.plugins.plugin_utils._formats import (
    duration_seconds,
)
from tests.integration.ask import get, get_many, logql
from tests.integration.boxes import docker

testinfra_hosts = ["ansible://monitoring"]

LOKI = "http://127.0.0.1:3100"
# Streams and lines on its standard input.
PUSH = (
    "import json,sys,time,urllib.request as u;"
    "t=time.time_ns();"
    "b={'streams':[{'stream':s,'values':[[str(t+i),l] for i,l in enumerate(ls)]}"
    " for s,ls in json.load(sys.stdin)]};"
    "r=u.Request('http://127.0.0.1:3100/loki/api/v1/push',json.dumps(b).encode(),"
    "{'Content-Type':'application/json'});u.urlopen(r)"
)


def login(address: str, path: str = "/api/v1/auth/login", status: int = 401) -> str:
    return json.dumps({"path": path, "status": status, "remote_addr": address})


def intrusion(signature: str, category: str = "other", kind: str = "alert") -> str:
    said = {"event_type": kind, "alert": {"signature": signature, "category": category}}
    return json.dumps(said, separators=(",", ":"))


def ban(jail: str, what: str = "Ban") -> str:
    return f"fail2ban.actions: NOTICE [{jail}] {what} 198.51.100.1"


@dataclass(frozen=True, kw_only=True)
class Case:
    """So many lines are no alert yet, the others never make one; labels: those beside host and deployment."""

    alert: str
    job: str
    most: int
    line: str
    others: list[str]
    labels: dict[str, str] = field(default_factory=dict)


CASES = [
    Case(
        alert="ApiErrorBurst",
        job="koprogo-api",
        most=50,
        line='{"level":"ERROR"}',
        others=['{"level":"INFO","message":"ERROR"}'] * 9,
    ),
    Case(
        alert="ApiSlowRequests",
        job="koprogo-api",
        most=20,
        line='{"duration_ms":1001}',
        others=['{"duration_ms":1000}', "duration_ms: 2000"] * 9,
    ),
    Case(
        alert="FailedLogins",
        job="koprogo-api",
        most=10,
        line=login("198.51.100.1"),
        others=[
            *[login("198.51.100.2")] * 10,
            *[login("198.51.100.1", path="/api/v1/me"), login("198.51.100.1", status=200)] * 9,
        ],
        labels={"remote_addr": "198.51.100.1"},
    ),
    Case(
        alert="DatabaseErrors",
        job="postgresql",
        most=10,
        line="2026-01-01 00:00:00 UTC [1] FATAL:  no",
        others=["2026-01-01 00:00:00 UTC [1] LOG:  ERROR"] * 9,
    ),
    Case(
        alert="AttackDetected",
        job="suricata",
        most=10,
        line=intrusion("KOPROGO port scan, many ports"),
        others=[
            *[intrusion("ET SCAN something", category="Attempted Recon")] * 10,
            *[intrusion("KOPROGO port scan, many ports", kind="flow")] * 9,
        ],
        labels={"attack": "port scan"},
    ),
    Case(
        alert="AttackDetected",
        job="fail2ban",
        most=3,
        line=ban("sshd"),
        others=[*[ban("api-abuse")] * 3, *[ban("sshd", "Unban"), ban("sshd", "Found")] * 9],
        labels={"attack": "sshd"},
    ),
]


def push(job: str, host: str, lines: list[str]) -> None:
    streams = [[{"job": job, "host": host, "deployment": "lab"}, lines]]
    docker("exec", "-i", "loki-box1", "python3", "-c", PUSH, stdin=json.dumps(streams))


def rules(host: Any) -> list[dict[str, Any]]:
    """The rules as Loki has them."""
    groups = json.loads(get(host, f"{LOKI}/prometheus/api/v1/rules"))["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def firing(host: Any, alert: str, about: str) -> list[dict[str, Any]]:
    """What the expression that Loki has for an alert returns about a host."""
    [expr] = [rule["query"] for rule in rules(host) if rule["name"] == alert]
    answer = json.loads(get(host, f"{LOKI}/loki/api/v1/query?{urlencode({'query': expr})}"))
    return [row for row in answer["data"]["result"] if row["metric"]["host"] == about]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}-{case.job}")
def test_one_line_more_makes_the_alert(host: Any, case: Case) -> None:
    about = f"{case.alert}-{case.job}"
    push(case.job, about, [case.line] * case.most + case.others)
    assert firing(host, case.alert, about) == []
    push(case.job, about, [case.line])
    [found] = firing(host, case.alert, about)
    assert found["metric"] == {"host": about, "deployment": "lab", **case.labels}
    assert found["value"][1] == str(case.most + 1)
    # Who follows the alert's link sees what it counted.
    matcher = f',deployment="lab",host="{about}"'
    shown = logql(host, ALERTS[case.alert].lines(matcher), since=25)
    assert [text for _time, text in shown].count(case.line) == case.most + 1


@pytest.mark.parametrize(
    ("alert", "job", "line"),
    [
        ("ApiDown", "koprogo-api-journal", "Main process exited, code=killed, status=9/KILL"),
        ("DiskFull", "postgresql", "PANIC:  could not write to file: No space left on device"),
        ("DiskFull", "loki", 'level=error err="write wal: no space left on device"'),
        ("MemoryExhaustion", "kernel", "Out of memory: Killed process 12 (koprogo-api)"),
        ("MemoryExhaustion", "koprogo-api-journal", "A process was killed by the OOM killer."),
    ],
)
def test_the_link_finds_what_explains_the_alert(host: Any, alert: str, job: str, line: str) -> None:
    about = f"{alert}-{job}"
    push(job, about, ["nothing to see", line])
    shown = logql(host, ALERTS[alert].lines(f',deployment="lab",host="{about}"'), since=25)
    assert line in [text for _time, text in shown]


def test_loki_understands_the_lines_that_every_alert_leads_to(host: Any) -> None:
    asked = [alert.lines(',deployment="lab",host="a"') for alert in ALERTS.values()]
    urls = [f"{LOKI}/loki/api/v1/query_range?{urlencode({'query': expr})}" for expr in asked]
    answers = get_many(host, urls)
    assert [
        (expr, body) for expr, (status, body) in zip(asked, answers, strict=True) if status != 200
    ] == []


def test_loki_waits_as_long_as_the_rules_say(host: Any) -> None:
    waits = {rule["name"]: rule["duration"] for rule in rules(host) if rule["name"] in ALERTS}
    logs = {name: alert for name, alert in ALERTS.items() if alert.source == "loki"}
    assert waits == {name: duration_seconds(alert.hold) for name, alert in logs.items()}
