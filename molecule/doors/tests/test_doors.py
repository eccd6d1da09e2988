"""Who passes the doors, and who doesn't."""

from __future__ import annotations

import re

import pytest

from tests.integration.ask import wait_for
from tests.integration.boxes import Box, make_authority

SSH = 22
METRICS = "/var/lib/prometheus/node-exporter/koprogo_firewall.prom"
FOREIGN_TABLE = "add table inet mine"


def test_a_monitoring_host_scrapes_through_the_door(mon: Box, db: Box) -> None:
    own = mon.ask("scrape", db.address)
    assert own["outcome"] == "200"
    node = mon.ask("scrape", db.address, path="/proxy?module=node_exporter")
    assert node["outcome"] == "200"
    assert "node_memory_MemAvailable_bytes" in node["body"]
    assert mon.ask("scrape", db.address, path="/proxy?module=unknown")["outcome"] == "404"
    itself = mon.ask("scrape", mon.address, path="/proxy?module=prometheus")
    assert "prometheus_build_info" in itself["body"]


def test_without_a_certificate_the_handshake_fails(mon: Box, db: Box) -> None:
    answer = mon.ask("scrape", db.address, cert="")
    assert "certificate required" in answer["outcome"] or "bad certificate" in answer["outcome"]
    assert not answer["body"]


def test_a_certificate_of_another_authority_is_refused(mon: Box, db: Box) -> None:
    other = make_authority(mon, "/run/other-authority", "doors-mon1")
    answer = mon.ask("scrape", db.address, **other)
    assert re.search(r"unknown ca|bad certificate", answer["outcome"])
    assert not answer["body"]


def test_our_own_authority_is_not_enough(db: Box) -> None:
    """The certificate of a host that doesn't monitor; asked from the host itself, past the firewall."""
    answer = db.ask("scrape", db.address)
    assert "bad certificate" in answer["outcome"]


def test_plain_http_gets_nothing(mon: Box, db: Box) -> None:
    script = (
        f"import http.client as h; c = h.HTTPConnection({db.address!r}, 9998, timeout=5); "
        "c.request('GET', '/metrics'); print(c.getresponse().status)"
    )
    assert mon.sh(f'python3 -c "{script}"').strip() == "400"


def test_nothing_listens_but_loopback_ssh_and_the_door(mon: Box, db: Box) -> None:
    for box in (mon, db):
        sockets = [line.split()[3] for line in box.sh("ss -Hltn").splitlines()]
        wide = {s for s in sockets if not s.startswith(("127.", "[::1]"))}
        assert wide <= {f"{box.address}:9998", "0.0.0.0:22", "[::]:22"}
        assert f"{box.address}:9998" in wide


@pytest.mark.parametrize(("name", "doors"), [("mon", {9998, 4318, 9094}), ("db", {9998, 8443})])
def test_a_stranger_finds_every_port_closed(
    stranger: Box, name: str, doors: set[int], request: pytest.FixtureRequest
) -> None:
    box: Box = request.getfixturevalue(name)
    found = stranger.ask("scan", box.address, timeout=3)
    assert set(found["open"]) <= {SSH}
    # Only the doors are filtered: the firewall judges no other port.
    assert set(found["timeout"]) == doors
    assert sum(found["counts"].values()) == 65_535


def test_a_stranger_with_a_stolen_certificate_gets_no_answer(stranger: Box, db: Box) -> None:
    assert stranger.ask("scrape", db.address, timeout=3)["outcome"] == "timeout"


def test_each_door_knows_its_callers(mon: Box, db: Box, stranger: Box) -> None:
    """Nothing listens on 4318 and 9094 here: refused means that the firewall let it through."""
    seen = {
        (box.name, port): box.ask("knock", mon.address, port=port, timeout=3)["outcome"]
        for box in (db, stranger)
        for port in (9998, 4318, 9094, 4317)
    }
    assert seen == {
        ("doors-db1", 9998): "timeout",
        ("doors-db1", 4318): "refused",
        ("doors-db1", 9094): "timeout",
        ("doors-db1", 4317): "refused",
        ("doors-stranger", 9998): "timeout",
        ("doors-stranger", 4318): "timeout",
        ("doors-stranger", 9094): "timeout",
        ("doors-stranger", 4317): "refused",
    }


def test_a_door_of_the_users_own_knows_its_callers(mon: Box, db: Box, stranger: Box) -> None:
    assert mon.ask("knock", db.address, port=8443, timeout=3)["outcome"] == "refused"
    assert stranger.ask("knock", db.address, port=8443, timeout=3)["outcome"] == "timeout"
    # The same port of a host that has no such door.
    assert stranger.ask("knock", mon.address, port=8443, timeout=3)["outcome"] == "refused"


def test_a_port_that_is_led_elsewhere_is_guarded_too(mon: Box, db: Box, stranger: Box) -> None:
    """As a container engine does with what it publishes; no door guards the port that it leads to."""
    led = "type nat hook prerouting priority dstnat; tcp dport 8443 redirect to :8444;"
    db.sh(f"nft 'table ip led {{ chain pre {{ {led} }}; }}'")
    try:
        assert mon.ask("knock", db.address, port=8443, timeout=3)["outcome"] == "refused"
        assert stranger.ask("knock", db.address, port=8443, timeout=3)["outcome"] == "timeout"
        assert stranger.ask("knock", db.address, port=8444, timeout=3)["outcome"] == "refused"
    finally:
        db.sh("nft delete table ip led")


def test_ipv6_is_judged_too(mon: Box, stranger: Box) -> None:
    assert mon.ask("knock", "fd00:d0::12", timeout=3)["outcome"] == "refused"
    assert stranger.ask("knock", "fd00:d0::12", timeout=3)["outcome"] == "timeout"


@pytest.mark.parametrize("action", ["restart", "reload", "stop", "start"])
def test_nftables_service_does_not_open_the_doors(
    mon: Box, db: Box, stranger: Box, action: str
) -> None:
    """Each of these flushes every table; another table would not come back, ours does."""
    db.sh(f"nft '{FOREIGN_TABLE}'")
    if action == "reload":
        db.sh("systemctl start nftables")
    db.sh(f"systemctl {action} nftables")
    assert "table inet mine" not in db.sh("nft list tables")
    assert stranger.ask("knock", db.address, timeout=2)["outcome"] == "timeout"
    assert mon.ask("scrape", db.address)["outcome"] == "200"


@pytest.mark.parametrize(
    ("flush", "caller"),
    [
        ("flush ruleset", "stranger"),
        ("flush chain inet koprogo_doors input", "stranger"),
        ("flush set inet koprogo_doors metrics_ipv4", "mon"),
    ],
)
def test_flushed_doors_are_put_back(
    mon: Box, db: Box, stranger: Box, flush: str, caller: str
) -> None:
    harmed, outcome = (mon, "timeout") if caller == "mon" else (stranger, "open")
    began = db.sh("date +%s").strip()
    db.sh(f"nft {flush}")
    assert harmed.ask("knock", db.address, timeout=2)["outcome"] == outcome
    wait_for(
        lambda: harmed.ask("knock", db.address, timeout=2)["outcome"] != outcome,
        seconds=30,
        what="the doors as they were",
    )
    assert mon.ask("scrape", db.address)["outcome"] == "200"
    assert stranger.ask("knock", db.address, timeout=2)["outcome"] == "timeout"
    told = db.sh(f"journalctl -u koprogo-doors-watch --since @{began} --output cat")
    assert "expected in nftables what was loaded" in told
    assert "koprogo_firewall_armed 1" in db.sh(f"cat {METRICS}")


def test_our_unit_touches_our_table_only(mon: Box, db: Box, stranger: Box) -> None:
    db.sh(f"nft '{FOREIGN_TABLE}'")
    for action in ("restart", "reload"):
        db.sh(f"systemctl {action} koprogo-doors")
        assert "table inet mine" in db.sh("nft list tables")
        assert stranger.ask("knock", db.address, timeout=2)["outcome"] == "timeout"
    db.sh("systemctl stop koprogo-doors")
    assert "koprogo_doors" not in db.sh("nft list tables")
    assert stranger.ask("knock", db.address, timeout=2)["outcome"] == "open"
    # Who stopped it wanted to: it stays so, and is told.
    db.sh("systemctl start koprogo-doors-watch.service")
    assert "koprogo_firewall_armed 0" in db.sh(f"cat {METRICS}")
    assert "koprogo_doors" not in db.sh("nft list tables")
    # Mutual TLS holds without the firewall; this certificate is stolen from the monitoring host.
    assert "certificate" in stranger.ask("scrape", db.address, cert="")["outcome"]
    db.sh("systemctl start koprogo-doors; nft delete table inet mine")
    assert stranger.ask("knock", db.address, timeout=2)["outcome"] == "timeout"
    assert mon.ask("scrape", db.address)["outcome"] == "200"
