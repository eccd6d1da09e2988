"""A host comes back with its doors guarded; absence leaves nothing. Runs last."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import yaml

from tests.integration.ask import wait_for
from tests.integration.boxes import Box, docker
from tests.integration.play import run_playbook

ABSENT = {"pki_state": "absent", "firewall_state": "absent", "metrics_gateway_state": "absent"}
TRACES = (
    "/etc/koprogo/pki /etc/koprogo/firewall /etc/koprogo/metrics_gateway "
    "/etc/systemd/system/koprogo-doors-watch.service /etc/systemd/system/koprogo-doors-watch.timer "
    "/etc/systemd/system/timers.target.wants/koprogo-doors-watch.timer /run/koprogo-doors "
    "/var/lib/prometheus/node-exporter/koprogo_firewall.prom "
    "/etc/systemd/system/koprogo-doors.service /etc/systemd/system/nftables.service.d "
    "/etc/systemd/system/prometheus-exporter-exporter.service.d "
    "/etc/systemd/system/sysinit.target.wants/koprogo-doors.service "
    "/var/lib/koprogo/pki /var/lib/prometheus/node-exporter/koprogo-pki.prom "
    "/var/lib/koprogo/install/pki.json /var/lib/koprogo/install/firewall.json "
    "/var/lib/koprogo/install/metrics_gateway.json /usr/bin/prometheus-exporter-exporter"
)


def test_a_killed_host_comes_back_with_its_doors_guarded(mon: Box, db: Box, stranger: Box) -> None:
    docker("kill", db.name)
    docker("start", db.name)

    def back() -> bool:
        answer: dict[str, Any] = mon.ask("scrape", db.address, timeout=2)
        return bool(answer["outcome"] == "200")

    wait_for(back, seconds=60, what="the gateway after the host's start")
    assert "koprogo_doors" in db.sh("nft list tables")
    assert stranger.ask("knock", db.address, timeout=2)["outcome"] == "timeout"
    assert db.sh("systemctl list-units --failed --no-legend --plain").strip() == ""


def _no_doors(box: Box) -> None:
    assert box.sh(f"ls -d {TRACES} 2>/dev/null", check=False) == ""
    assert ":9998" not in box.sh("ss -Hltn")
    assert "koprogo-tls" not in box.sh("cat /etc/group")
    assert "koprogo" not in box.sh("ls -A /etc/koprogo/.sets 2>/dev/null", check=False)
    assert "koprogo-doors" not in box.sh("systemctl list-units --all --plain --no-legend")
    assert "koprogo_doors" not in box.sh("nft list tables 2>/dev/null", check=False)


def test_the_last_host_of_a_fleet_loses_its_doors_and_serves_on(mon: Box, tmp_path: Path) -> None:
    fleet = Path(os.environ["MOLECULE_INVENTORY_FILE"])
    host = yaml.safe_load(fleet.read_text(encoding="utf-8"))["all"]["hosts"][mon.name]
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(json.dumps({"monitoring": {"hosts": {mon.name: host}}}), encoding="utf-8")
    options = ("--extra-vars", f"@{fleet.parent / 'group_vars' / 'all'}")
    first = run_playbook("playbooks/site.yml", *options, inventory=str(inventory))
    assert first.rc == 0, first.text
    _no_doors(mon)
    assert "127.0.0.1:9090" in mon.sh("ss -Hltn")
    again = run_playbook("playbooks/site.yml", *options, inventory=str(inventory))
    assert (again.rc, again.changed) == (0, {mon.name: 0}), again.text


def test_a_host_that_joins_a_fleet_foretells_it(mon: Box) -> None:
    """Its Prometheus is to use certificates that are not there before the run, and is judged all the same."""
    playbook = "molecule/doors/converge.yml"
    foretold = run_playbook(playbook, "--check", "--diff")
    assert foretold.rc == 0, foretold.text
    _no_doors(mon)
    wrong = json.dumps(
        {"prometheus_scrape_configs": [{"job_name": "own", "scrape_intervall": "5s"}]}
    )
    options = ("--check", "--tags", "prometheus_configure", "--extra-vars", wrong)
    refused = run_playbook(playbook, *options)
    assert "field scrape_intervall not found" in refused.text
    done = run_playbook(playbook)
    assert done.rc == 0, done.text
    assert foretold.changed == done.changed
    assert mon.ask("scrape", mon.address)["outcome"] == "200"


def test_absent_leaves_nothing_on_any_host(mon: Box, db: Box) -> None:
    outcome = run_playbook("molecule/doors/doors.yml", "--extra-vars", json.dumps(ABSENT))
    assert outcome.rc == 0, outcome.text
    for box in (mon, db):
        _no_doors(box)
    again = run_playbook("molecule/doors/doors.yml", "--extra-vars", json.dumps(ABSENT))
    assert again.changed == {mon.name: 0, db.name: 0}
