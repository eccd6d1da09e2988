"""Every notification reaches the services that it is for, once, as they want it, from a cluster of two."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.integration.ask import wait_for
from tests.integration.boxes import Box
from tests.integration.cluster import NAMES, alert, converge, of, post, ready
from tests.integration.receivers import Receivers, receiving

# The second member waits for the first one, then sees that it notified; and one more round.
PEER_WAIT = 8
HOSTS = [f"db{number:02}" for number in range(40)]


@pytest.fixture(scope="module")
def receivers() -> Iterator[Receivers]:
    flags = [
        "--certificate=/etc/koprogo/pki/host.crt",
        "--key=/var/lib/koprogo/pki/host.key",
        "--aws-secret=aws-s3cret-only-for-alertmanager",
    ]
    with receiving(Box(NAMES[1]), "0.0.0.0:18443", *flags) as running:
        yield running


def tell(*alerts: dict[str, Any]) -> None:
    """Each Prometheus tells its own Alertmanager; both alerts began at the same time."""
    for name in NAMES:
        post(name, list(alerts))


def told(receivers: Receivers) -> Counter[tuple[str, str, str]]:
    """Service, alert and state of each notification but the heartbeats."""
    found: Counter[tuple[str, str, str]] = Counter()
    for entry in receivers.all():
        body = entry["body"]
        if entry["service"] == "pagerduty":
            found["pagerduty", body["payload"]["class"], body["event_action"]] += 1
        elif entry["service"] == "slack":
            state, name = body["attachments"][0]["title"].split(",")[0].split(": ")
            found["slack", name, state] += 1
        elif entry["service"] == "sns":
            found["sns", body["Message"].split()[1], body["Message"].split()[0]] += 1
        elif entry["service"] == "sms":
            name = body["commonLabels"]["alertname"]
            found["sms", name, body["status"]] += 1
    return found


FIRING = Counter(
    {
        ("pagerduty", "ApiDown", "trigger"): 1,
        ("slack", "ApiDown", "CRITICAL"): 1,
        ("sns", "ApiDown", "CRITICAL"): 1,
        ("pagerduty", "DiskFull", "trigger"): 1,
        ("slack", "DiskFull", "CRITICAL"): 1,
        ("sns", "DiskFull", "CRITICAL"): 1,
        ("slack", "HighCpu", "WARNING"): 1,
        ("slack", "OnesOwn", "ALERT"): 1,
    }
)
RESOLVED = Counter(
    {
        ("pagerduty", "ApiDown", "resolve"): 1,
        ("slack", "ApiDown", "RESOLVED"): 1,
        ("sns", "ApiDown", "RESOLVED"): 1,
        ("slack", "HighCpu", "RESOLVED"): 1,
    }
)


def settled(receivers: Receivers, expected: Counter[tuple[str, str, str]]) -> None:
    """Exactly these, and the second member adds none."""
    wait_for(lambda: told(receivers) >= expected, seconds=60, what="all notifications")
    time.sleep(PEER_WAIT)
    assert told(receivers) == expected
    assert [entry["errors"] for entry in receivers.all() if entry["errors"]] == []


def test_each_alert_is_told_once_and_its_end_too(receivers: Receivers) -> None:
    for name in NAMES:
        wait_for(partial(ready, of(name)), seconds=60, what="cluster")
    api_down = partial(alert, "ApiDown", "critical", host="api1", component="api")
    # Its cause is told, so this one is not, firing or ended.
    slow_api = partial(alert, "SlowApi", "warning", host="api1")
    high_cpu = partial(alert, "HighCpu", "warning", host="db1")
    disks = [alert("DiskFull", "critical", host=host, mountpoint="/") for host in HOSTS]
    for disk in disks:
        disk["annotations"]["summary"] = "long " * 500
        disk["annotations"]["value"] = "9.9 % " * 50
    tell(
        *(made() for made in (api_down, slow_api, high_cpu)),
        *disks,
        alert("Hint", "info"),
        alert("OnesOwn"),
        alert("Watchdog"),
    )
    settled(receivers, FIRING)
    tell(*(made(ended=True) for made in (slow_api, api_down, high_cpu)))
    settled(receivers, FIRING + RESOLVED)


def by_alert(receivers: Receivers, service: str, name: str) -> dict[str, Any]:
    body: dict[str, Any] = next(e["body"] for e in receivers.of(service) if name in str(e["body"]))
    return body


def test_pagerduty_knows_what_where_since_when_and_what_to_do(receivers: Receivers) -> None:
    event = by_alert(receivers, "pagerduty", "ApiDown")
    payload = event["payload"]
    assert payload["summary"] == "ApiDown, test, api1: ApiDown on <api1> & more (0 of 1 up)"
    assert (payload["severity"], payload["source"]) == ("critical", "api1")
    assert (payload["component"], payload["group"]) == ("api", "test")
    details = payload["custom_details"]
    assert details["fix"] == "ansible-playbook playbooks/remediate/api_down.yml -l api1"
    assert details["what"] == "ApiDown is described here"
    assert details["since"].endswith("UTC")
    assert [link["text"] for link in event["links"]] == ["Dashboard", "Runbook"]
    keys = {
        entry["body"]["event_action"]: entry["body"]["dedup_key"]
        for entry in receivers.of("pagerduty")
        if entry["body"]["payload"]["class"] == "ApiDown"
    }
    assert keys["trigger"] == keys["resolve"]


def test_slack_knows_the_same(receivers: Receivers) -> None:
    message = by_alert(receivers, "slack", "ApiDown")
    attachment = message["attachments"][0]
    assert message["channel"] == "#alerts"
    assert attachment["title"] == "CRITICAL: ApiDown, test"
    assert attachment["color"] == "danger"
    lines = attachment["text"].splitlines()
    assert lines[0] == "*test, api1* ApiDown on &lt;api1&gt; &amp; more"
    assert lines[1].startswith("*0 of 1 up*, since <!date^")
    assert "viewPanel=1&amp;x=2|Dashboard>" in lines[2]
    assert "api_down?a=1&amp;b=2|Runbook>" in lines[2]
    assert "Logs" not in lines[2]
    assert lines[3] == "`ansible-playbook playbooks/remediate/api_down.yml -l api1`"


def test_a_text_message_has_the_command(receivers: Receivers) -> None:
    text = by_alert(receivers, "sns", "ApiDown")["Message"]
    assert text.startswith("CRITICAL ApiDown test/api1 since ")
    assert text.endswith(": 0 of 1 up. ansible-playbook playbooks/remediate/api_down.yml -l api1")
    many = by_alert(receivers, "sns", "DiskFull")["Message"]
    assert many.startswith("CRITICAL DiskFull test/db00 (40 alerts)")
    assert many.endswith("ansible-playbook playbooks/remediate/disk_full.yml -l db00")


def test_many_alerts_are_no_longer_message(receivers: Receivers) -> None:
    slack = by_alert(receivers, "slack", "DiskFull")
    assert "5 of 40 firing alerts shown" in slack["attachments"][0]["text"]
    pager = by_alert(receivers, "pagerduty", "DiskFull")
    assert "5 of 40 shown" in pager["payload"]["custom_details"]["firing"]
    assert max(len(json.dumps(body)) for body in (slack, pager)) < 8000


def test_the_heart_beats_until_watchdog_ends(receivers: Receivers) -> None:
    beats = [entry["at"] for entry in receivers.of("heartbeat")]
    # One each 4 s; more of them from the second member would do no harm.
    pauses = [later - before for before, later in pairwise(beats)]
    assert len(beats) >= 4
    assert max(pauses) < 7
    tell(alert("Watchdog", ended=True))
    time.sleep(6)
    count = len(receivers.of("heartbeat"))
    time.sleep(8)
    assert len(receivers.of("heartbeat")) == count


def test_a_gateway_takes_the_place_of_sns(receivers: Receivers) -> None:
    gateway = "{{ receivers }}/sms/way-only-for-alertmanager"
    sms = {"webhook": {"url": gateway, "token": "sms-t0ken-only-for-alertmanager"}}
    run = converge("--tags", "alertmanager_configure", alertmanager_sms=sms)
    assert run.returncode == 0, run.stdout[-3000:]
    assert "only-for-alertmanager" not in run.stdout
    tell(alert("DatabaseDown", "critical", host="db1"))
    expected = {(service, "DatabaseDown") for service in ("pagerduty", "slack", "sms")}
    wait_for(
        lambda: {found[:2] for found in told(receivers)} >= expected,
        seconds=60,
        what="the text message through the gateway",
    )
    entry = receivers.of("sms")[0]
    assert entry["errors"] == []
    assert entry["authorization"] == "Bearer sms-t0ken-only-for-alertmanager"
    assert ("sns", "DatabaseDown") not in {found[:2] for found in told(receivers)}
    assert converge("--tags", "alertmanager_configure").returncode == 0


def test_a_warning_waits_until_the_office_opens_and_a_critical_one_does_not(
    receivers: Receivers,
) -> None:
    in_three_days = datetime.now(ZoneInfo("Europe/Brussels")) + timedelta(days=3)
    closed = {"days": [f"{in_three_days:%A}".lower()], "location": "Europe/Brussels"}
    run = converge("--tags", "alertmanager_configure", alertmanager_office_hours=closed)
    assert run.returncode == 0, run.stdout[-3000:]
    tell(
        alert("HighCpu", "warning", host="night1"),
        alert("MemoryExhaustion", "critical", host="night2"),
    )

    def services(host: str) -> set[str]:
        return {entry["service"] for entry in receivers.all() if host in str(entry["body"])}

    wait_for(
        lambda: services("night2") == {"pagerduty", "slack", "sns"},
        seconds=60,
        what="the critical one",
    )
    time.sleep(PEER_WAIT)
    assert services("night1") == set()
    assert converge("--tags", "alertmanager_configure").returncode == 0
    wait_for(lambda: services("night1") == {"slack"}, seconds=60, what="the warning")
