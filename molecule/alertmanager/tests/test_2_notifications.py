"""Every notification reaches the services that it is for, once, as they want it, from a cluster of two."""

from __future__ import annotations

import html
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_catalogue import ALERTS
from tests.integration.ask import wait_for
from tests.integration.boxes import Box
from tests.integration.cluster import NAMES, alert, converge, of, post, ready
from tests.integration.receivers import Receivers, receiving

# The second member waits for the first one, then sees that it notified; and one more round.
PEER_WAIT = 11
FIX = "ansible-playbook -i inventories/production playbooks/remediate/api_down.yml -l api1"
API_DOWN_LINES = ALERTS["ApiDown"].lines(',deployment="test",host="api1"')
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


def lines_behind(url: str) -> str:
    """The LogQL that a link to the logs asks for."""
    panes = json.loads(parse_qs(urlsplit(url).query)["panes"][0])
    expr: str = panes["logs"]["queries"][0]["expr"]
    return expr


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
    assert details["fix"] == FIX
    assert details["what"] == "ApiDown is described here"
    assert details["since"].endswith("UTC")
    links = {link["text"]: link["href"] for link in event["links"]}
    assert list(links) == ["Dashboard", "Logs", "Runbook"]
    assert lines_behind(links["Logs"]) == API_DOWN_LINES
    assert "/d/koprogo-api?viewPanel=1&var-deployment=test&var-host=api1" in links["Dashboard"]
    assert links["Runbook"] == "https://docs.example.org/runbooks?a=1&b=2/api_down.md"
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
    assert "viewPanel=1&amp;var-deployment=test&amp;var-host=api1|Dashboard>" in lines[2]
    assert "?a=1&amp;b=2/api_down.md|Runbook>" in lines[2]
    [logs] = re.findall(r"<([^<>|]+)\|Logs>", lines[2])
    assert lines_behind(html.unescape(logs)) == API_DOWN_LINES
    assert lines[3] == f"`{FIX}`"
    own = by_alert(receivers, "slack", "OnesOwn")["attachments"][0]["text"]
    assert not any(f"|{link}>" in own for link in ("Dashboard", "Logs", "Runbook"))


def test_a_text_message_has_the_command(receivers: Receivers) -> None:
    text = by_alert(receivers, "sns", "ApiDown")["Message"]
    assert text.startswith("CRITICAL ApiDown test/api1 since ")
    assert text.endswith(f": 0 of 1 up. {FIX}")
    many = by_alert(receivers, "sns", "DiskFull")["Message"]
    assert many.startswith("CRITICAL DiskFull test/db00 (40 alerts)")
    assert many.endswith("-i inventories/production playbooks/remediate/disk_full.yml -l db00")


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
    down = partial(alert, "DatabaseDown", "critical", host="db1")

    def about() -> Counter[tuple[str, str]]:
        """Service and state of what was told of it."""
        return Counter(
            {(one[0], one[2]): n for one, n in told(receivers).items() if one[1] == "DatabaseDown"}
        )

    tell(down())
    expected = Counter([("pagerduty", "trigger"), ("slack", "CRITICAL"), ("sms", "firing")])
    wait_for(lambda: about() >= expected, seconds=60, what="the text message by the gateway")
    tell(down(ended=True))
    expected += Counter([("pagerduty", "resolve"), ("slack", "RESOLVED"), ("sms", "resolved")])
    wait_for(lambda: about() >= expected, seconds=60, what="its end by the gateway")
    time.sleep(PEER_WAIT)
    # None twice, and none by SNS.
    assert about() == expected
    entry = receivers.of("sms")[0]
    assert entry["errors"] == []
    assert entry["authorization"] == "Bearer sms-t0ken-only-for-alertmanager"
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
