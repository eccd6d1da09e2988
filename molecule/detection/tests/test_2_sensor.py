"""Each kind of attack is in eve.json, and nothing that an ordinary client sends is."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest

from tests.integration.ask import get, wait_for
from tests.integration.attacks import ATTACKS, raw_request
from tests.integration.benign import requests
from tests.integration.target import send, serving
from tests.integration.victim import API_LOG, Victim, on_each_victim

EVE = "/var/log/suricata/eve.json"
# On the allow-list, like all that attack here: every attack has to arrive.
SCANNER = "198.51.100.201"


@pytest.fixture(autouse=True)
def _server() -> Iterator[None]:
    with serving():
        yield


def alerts(box: Victim, since: float) -> list[dict[str, object]]:
    """Alerts of eve.json from a moment on."""
    lines = box.sh(f"cat {EVE}").splitlines()
    events = [json.loads(line) for line in lines]
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since))
    return [e for e in events if e["event_type"] == "alert" and e["timestamp"] >= stamp]


def by_path(found: list[dict[str, object]]) -> dict[str, set[int]]:
    """The numbers of the rules that a path broke."""
    result: dict[str, set[int]] = {}
    for event in found:
        alert, http = event["alert"], event.get("http", {})
        assert isinstance(alert, dict)
        assert isinstance(http, dict)
        result.setdefault(str(http.get("url")), set()).add(alert["signature_id"])
    return result


@on_each_victim
def test_the_engine_is_armed(box: Victim) -> None:
    rules = json.loads(box.sh("suricatasc -c ruleset-stats"))["message"]
    assert sum(one["rules_loaded"] for one in rules) >= 17
    assert sum(one["rules_failed"] for one in rules) == 0
    box.wait_until_armed("suricata")
    assert box.gauge("koprogo_suricata_rules_failed") == 0


@on_each_victim
def test_attacks_are_seen(box: Victim) -> None:
    began = time.time()
    requests = [raw_request("POST" if one.body else "GET", one.path, one.body) for one in ATTACKS]
    # Each attack from an address that is never banned, so that all of them arrive.
    send(box, [("198.51.100.200", [request]) for request in requests])

    def missing() -> dict[str, frozenset[int]]:
        seen = by_path(alerts(box, began))
        return {one.path: one.sids for one in ATTACKS if not one.sids <= seen.get(one.path, set())}

    try:
        wait_for(lambda: not missing(), seconds=12, what="an alert for each attack")
    except AssertionError:
        assert missing() == {}
    one = alerts(box, began)[0]
    assert str(one["community_id"]).startswith("1:")
    assert one["src_ip"] == "198.51.100.200"


@on_each_victim
def test_a_port_scan_is_seen(box: Victim) -> None:
    began = time.time()
    # Not from an address that opened connections just now: the rule counts those, and speaks once in 10 s.
    scan = (
        "import socket\n"
        "for port in range(20000, 20060):\n"
        f"    s = socket.socket(); s.bind(('{SCANNER}', 0)); s.settimeout(0.05)\n"
        "    s.connect_ex(('198.51.100.1', port)); s.close()\n"
    )
    box.attack("python3", "-c", scan)

    def seen() -> bool:
        found = [(e["alert"], e["src_ip"]) for e in alerts(box, began)]
        return any(
            isinstance(alert, dict) and (alert["signature_id"], source) == (9100061, SCANNER)
            for alert, source in found
        )

    wait_for(seen, seconds=10, what="an alert for the scan")


@on_each_victim
def test_ordinary_requests_raise_nothing(box: Victim) -> None:
    began = time.time()
    corpus = requests()
    assert len(corpus) >= 200
    # Several clients, so that no quota is reached: what is judged is what they say.
    clients = ["198.51.100.66", "198.51.100.67", "198.51.100.68", "198.51.100.69"]
    traffic = [
        (client, [raw_request(*request) for request in corpus[number :: len(clients)]])
        for number, client in enumerate(clients)
    ]
    send(box, traffic)
    # The engine looks at a connection's end, at the latest; this alert proves that it has.
    send(box, [("198.51.100.200", [raw_request("GET", "/last?q=%3Cscript%3E")])])
    wait_for(
        lambda: "/last?q=%3Cscript%3E" in by_path(alerts(box, began)), seconds=10, what="the last"
    )
    found = by_path(alerts(box, began))
    assert set(found) == {"/last?q=%3Cscript%3E"}, found
    for jail in ("sshd", "api-abuse", "postgresql"):
        assert not box.banned(jail)
    for client in clients:
        assert box.reaches(client)


def read(box: Victim) -> tuple[int, int]:
    """How many lines of the API's log the jail, and CrowdSec's parsers, have taken by now."""
    jail = box.sh("fail2ban-client status api-abuse")
    metrics = get(box, "http://127.0.0.1:6060/metrics")
    found = re.search(rf'cs_filesource_hits_total{{source="{API_LOG}"}} (\d+)', metrics)
    return int(jail.partition("Total failed:")[2].split()[0]), int(found[1]) if found else 0


@on_each_victim
def test_ordinary_requests_in_the_apis_log_raise_nothing(box: Victim) -> None:
    # As many clients as people would be: a single one that asks for all of it at once mistypes too often.
    clients = [f"203.0.113.{number}" for number in range(1, 21)]
    # And one whose page shows every flat of a large building.
    page = "203.0.113.21"
    # Now and then one has mistyped an address or a password, or two have saved the same thing.
    statuses = (*(200,) * 12, 404, *(201,) * 5, 401, 200, 409)
    corpus = [
        {
            "remote_addr": clients[number % len(clients)],
            "method": method,
            "path": path,
            "route": path.partition("?")[0],
            "status": statuses[number % len(statuses)],
            "user_agent": agent,
        }
        for number, (method, path, _body, agent) in enumerate(requests())
    ] + [
        {
            "remote_addr": page,
            "method": "GET",
            "path": f"/api/v1/units/{number}",
            "route": "/api/v1/units/:id",
            "status": 200,
            "user_agent": "Mozilla/5.0",
        }
        for number in range(70)
    ]
    clients.append(page)
    before = read(box)
    box.log(corpus)
    wait_for(
        lambda: all(now - then >= len(corpus) for now, then in zip(read(box), before, strict=True)),
        seconds=30,
        what=f"{len(corpus)} lines taken by both",
    )
    time.sleep(3)
    assert not box.banned("api-abuse") & {*clients}
    assert not box.decisions().keys() & {*clients}
    assert "crowdsecurity/http-crawl-non_statics" in box.reported(page), "it was near a ban"


@on_each_victim
def test_the_log_is_rotated_and_followed(box: Victim) -> None:
    began = time.time()
    send(box, [("198.51.100.200", [raw_request("GET", "/before?q=%3Cscript%3E")])])
    wait_for(lambda: alerts(box, began), seconds=10, what="an alert")
    box.sh("logrotate --force --state /run/rotated /etc/koprogo/suricata/logrotate.conf")
    began = time.time()
    send(box, [("198.51.100.200", [raw_request("GET", "/after?q=%3Cscript%3E")])])
    wait_for(lambda: alerts(box, began), seconds=10, what="an alert in the new file")
    assert "/before" not in box.sh(f"cat {EVE}")
    assert box.sh(f"stat -c '%U:%G %a' {EVE}").strip() == "root:adm 640"


@on_each_victim
def test_memory_is_bounded(box: Victim) -> None:
    text = box.sh("cat /proc/$(cat /run/suricata.pid)/status")
    assert int(text.partition("VmRSS:")[2].split()[0]) < 200 * 1024
