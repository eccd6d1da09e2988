"""The options of Prometheus and of the node exporter, asked of the daemons."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import testinfra

from tests.integration.ask import get, promql, sockets, wait_for
from tests.integration.boxes import Box
from tests.integration.play import Outcome, run_playbook
from tests.integration.receivers import receiving

testinfra_hosts = ["ansible://monitoring"]

BOXES = (Box("prom-mon12"), Box("prom-mon13"))
CONVERGE = "molecule/prometheus/converge.yml"
PORT, EXPORTER_PORT = 9191, 9200
PROMETHEUS = f"http://127.0.0.1:{PORT}"
FOREIGN = "/etc/systemd/system/prometheus.service.d/60-theirs.conf"


def configure(**variables: object) -> Outcome:
    """One phase of one role, alone."""
    return run_playbook(
        CONVERGE, "--tags", "prometheus_configure", "-e", json.dumps(variables), "--diff"
    )


def rules(expr: str, **more: str) -> dict[str, Any]:
    return {
        "own": {"groups": [{"name": "own", "rules": [{"alert": "Always", "expr": expr} | more]}]}
    }


def api(host: Any, path: str) -> Any:
    return json.loads(get(host, f"{PROMETHEUS}/api/v1/{path}"))["data"]


def own_rules(host: Any) -> list[str]:
    groups = api(host, "rules")["groups"]
    return [rule["query"] for group in groups if group["name"] == "own" for rule in group["rules"]]


def pids() -> list[str]:
    return [box.sh("systemctl show --value -p MainPID prometheus").strip() for box in BOXES]


def hosts() -> list[Any]:
    return [testinfra.get_host(f"docker://{box}") for box in BOXES]


def test_flags_are_what_the_options_say(host: Any) -> None:
    flags = api(host, "status/flags")
    assert {
        name: flags[name]
        for name in (
            *(
                "storage.tsdb.retention.time",
                "storage.tsdb.retention.size",
                "storage.tsdb.wal-compression",
            ),
            *("web.external-url", "web.cors.origin", "rules.alert.resend-delay"),
        )
    } == {
        "storage.tsdb.retention.time": "3d",
        "storage.tsdb.retention.size": "512MiB",
        "storage.tsdb.wal-compression": "true",
        "web.external-url": "https://example.org/prometheus",
        "web.cors.origin": r"https://(a|b)\.example$",
        "rules.alert.resend-delay": "3s",
    }


def test_each_listens_on_the_port_that_was_chosen(host: Any) -> None:
    ours = {where for where, process in sockets(host).items() if process.startswith("prometheus")}
    assert ours == {f"127.0.0.1:{PORT}", f"127.0.0.1:{EXPORTER_PORT}"}


def test_targets_of_the_inventory_follow_the_port_and_own_jobs_are_scraped(host: Any) -> None:
    name = host.check_output("hostname")
    wait_for(
        lambda: promql(host, f'up{{job="node", instance="{name}"}} == 1', PORT),
        seconds=20,
        what="the exporter to be scraped by the inventory's job",
    )
    (sample,) = wait_for(
        lambda: promql(host, 'own_metric{job="own"}', PORT), seconds=20, what="the own job's sample"
    )
    assert sample["value"][1] == "42"


def test_the_exporter_shows_what_was_asked_for(host: Any) -> None:
    text = get(host, f"http://127.0.0.1:{EXPORTER_PORT}/metrics")
    assert set(re.findall(r'^node_systemd_unit_state{name="([^"]+)"', text, re.MULTILINE)) == {
        "ssh.service",
        "systemd-journald.service",
    }
    assert "\nown_metric 42\n" in text
    assert "\nnode_textfile_scrape_error 0\n" in text
    assert "\nnode_load1 " not in text
    assert "\nnode_memory_MemAvailable_bytes " in text


@pytest.mark.parametrize("box", BOXES, ids=str)
def test_the_alertmanagers_get_own_alerts_with_the_labels_and_the_address(box: Box) -> None:
    with receiving(box, "127.0.0.1:9999") as received:
        (entry, *_more) = wait_for(
            lambda: [one for one in received.all() if "Always" in str(one["body"])],
            seconds=30,
            what="an alert of the own rule",
        )
    assert entry["path"] == "/api/v2/alerts"
    (alert,) = [one for one in entry["body"] if one["labels"]["alertname"] == "Always"]
    # Twins tell the same alert, so nothing of the replica is in it.
    assert alert["labels"] == {"alertname": "Always", "site": "lab"}
    assert alert["generatorURL"].startswith("https://example.org/prometheus/graph?")


def test_what_others_installed_is_used_and_what_was_pinned_is_installed() -> None:
    for host, pinned in zip(hosts(), ("prometheus", "prometheus-node-exporter"), strict=True):
        recorded = host.check_output("cat /var/lib/koprogo/install/*.json")
        assert f'"{pinned}"' in recorded
    assert api(hosts()[0], "status/buildinfo")["version"].startswith("2.42.0")
    page = get(hosts()[1], f"http://127.0.0.1:{EXPORTER_PORT}/metrics")
    assert 'version="1.9.0"' in page


def test_a_version_that_nobody_has_is_refused_and_the_daemon_goes_on() -> None:
    before = pids()
    tags = ("--tags", "prometheus_install", "--limit", str(BOXES[0]))
    outcome = run_playbook(CONVERGE, *tags, "-e", "prometheus_version=9.9.9")
    assert outcome.rc != 0
    assert (
        "prometheus_version: expected a version that the repositories offer, found 9.9.9"
        in outcome.text
    )
    assert pids() == before


def test_a_wrong_rule_is_refused_and_the_old_one_goes_on() -> None:
    before = pids()
    outcome = configure(prometheus_rules=rules("vector(1"))
    assert outcome.rc != 0
    assert outcome.text.count("unclosed left parenthesis") >= len(BOXES)
    assert "rules/own.yml" in outcome.text
    assert pids() == before
    for host in hosts():
        assert own_rules(host) == ["vector(1)"]
        assert api(host, "status/runtimeinfo")["reloadConfigSuccess"]


def test_a_reload_keeps_the_process_and_takes_away_what_is_no_longer_wanted() -> None:
    before = pids()
    changed = {"prometheus_rules": rules("vector(2)"), "prometheus_scrape_configs": []}
    outcome = configure(**changed)
    assert outcome.rc == 0, outcome.text
    assert outcome.text.count("changed=1") == len(BOXES)
    assert pids() == before
    for host in hosts():
        assert own_rules(host) == ["vector(2)"]
        assert "own" not in {t["scrapePool"] for t in api(host, "targets")["activeTargets"]}


def test_another_retention_and_size_restart_it() -> None:
    before = pids()
    outcome = configure(
        prometheus_retention="2d", prometheus_retention_size="256MB", prometheus_rules={}
    )
    assert outcome.rc == 0, outcome.text
    assert not set(before) & set(pids())
    for host in hosts():
        flags = api(host, "status/flags")
        assert flags["storage.tsdb.retention.time"] == "2d"
        assert flags["storage.tsdb.retention.size"] == "256MiB"
        assert own_rules(host) == []


def test_absent_removes_what_the_roles_wrote_and_nothing_else() -> None:
    absent = ("-e", "prometheus_state=absent", "-e", "node_exporter_state=absent")
    for box in BOXES:
        box.sh(f"printf '[Unit]\\n' > {FOREIGN}; echo kept > /etc/prometheus/theirs")
    gone = run_playbook(CONVERGE, *absent)
    assert gone.rc == 0, gone.text
    ours = "/etc/koprogo/prometheus /etc/koprogo/node_exporter /etc/systemd/system/prom*/50-koprogo.conf"
    for host in hosts():
        assert not [name for name in sockets(host).values() if name.startswith("prometheus")]
        assert host.run(f"ls -d {ours}").stdout == ""
        host.check_output(f"ls {FOREIGN} /etc/prometheus/theirs /srv/metrics/own.prom")
        # The data stays.
        assert "wal" in host.check_output("ls /var/lib/prometheus/metrics2")
    found = [
        {
            name
            for name in ("prometheus", "prometheus-node-exporter")
            if host.package(name).is_installed
        }
        for host in hosts()
    ]
    assert found == [{"prometheus-node-exporter"}, {"prometheus"}]
    again = run_playbook(CONVERGE, *absent)
    assert again.text.count("changed=0") == len(BOXES), again.text
