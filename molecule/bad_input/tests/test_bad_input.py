"""Every wrong input is refused with what was expected and what was found, and the host stays as it was."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.play import ROOT, filesystem_changes, run_playbook

BOX = "bad-box1"
SITE = "playbooks/site.yml"


@pytest.fixture
def untouched() -> Iterator[None]:
    before = filesystem_changes(BOX)
    yield
    assert filesystem_changes(BOX) == before


def inventory(tmp_path: Path, groups: dict[str, list[str]]) -> str:
    path = tmp_path / "hosts.json"
    hosts = {BOX: {"ansible_connection": "community.docker.docker"}}
    path.write_text(
        json.dumps(
            {"all": {"hosts": hosts}}
            | {
                name: {"hosts": {member: {} for member in members}}
                for name, members in groups.items()
            }
        )
    )
    return str(path)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (
            {"prometheus_retenton": "9d"},
            ["prometheus_retenton", "did you mean prometheus_retention?"],
        ),
        ({"prometheus_port": "web"}, ["prometheus_port", "int"]),
        ({"prometheus_retention": "forever"}, ["prometheus_retention", "duration", "'forever'"]),
        ({"loki_retention": "1h"}, ["loki_retention", "at least 1d", "'1h'"]),
        (
            {"prometheus_retention_size": "big"},
            # Said of every inventory without a receiver, and no failure of its own.
            ["prometheus_retention_size", "size", "'big'", "[WARNING]: Alerts are shown in"],
        ),
        (
            {
                "alertmanager_pagerduty": {"severities": ["critical"]},
                "alertmanager_group_wait": "-1s",
            },
            [
                "alertmanager_pagerduty.routing_key: expected a secret, found an empty value",
                "alertmanager_group_wait: expected a duration longer than zero",
            ],
        ),
        ({"loki_install": "pip"}, ["loki_install", "package", "pip"]),
        ({"loki_archive_sha256": "abc"}, ["loki_archive_sha256", "64", "'abc'"]),
        ({"prometheus_port": 9093}, ["prometheus_port", "alertmanager_port", "9093"]),
        (
            {"koprogo_omit": [], "grafana_admin_password": ""},
            ["grafana_admin_password: expected a value"],
        ),
        (
            {"koprogo_omit": ["grafana", "graphana"]},
            ["koprogo_omit of ", "prometheus, ", "found 'graphana'"],
        ),
        ({"koprogo_omit": 5}, ["koprogo_omit of ", "expected a list of components, found 5"]),
        (
            {"prometheus_alerts": {"ApiDwn": {"enabled": False}}},
            ["prometheus_alerts.ApiDwn: unknown alert; did you mean ApiDown?"],
        ),
        (
            {"koprogo_alerts": {"DiskFull": {"threshold": "10%"}}},
            ["koprogo_alerts.DiskFull.threshold: expected a number, found '10%'"],
        ),
        (
            {"prometheus_evaluation_interval": "1m"},
            ["prometheus_evaluation_interval: expected at most half", "DatabaseDown"],
        ),
        (
            {
                "alertmanager_slack": {"webhook_url": "https://hooks.example.org/x"},
                "alertmanager_routes": [{"reciever": "warning"}],
            },
            ["alertmanager_routes[0].reciever: unknown option", "did you mean receiver?"],
        ),
        (
            {"alertmanager_route": {"receiver": "team"}, "alertmanager_receivers": []},
            ["alertmanager_route.receiver: expected a receiver that exists (nowhere)", "'team'"],
        ),
        (
            {"prometheus_alerts": {"ApiDown": {"for": "soon"}, "SlowApi": {"quantile": 99}}},
            [
                "prometheus_alerts.ApiDown.for: expected a duration",
                "prometheus_alerts.SlowApi.quantile: expected a number from 0 to 1, found '99'",
            ],
        ),
        ({"loki_archive_sha256": ""}, ["loki_archive_sha256: expected a value", "loki_install"]),
    ],
)
def test_a_bad_option_is_named(variables: dict[str, object], expected: list[str]) -> None:
    for mode in ([], ["--check", "--diff"]):
        outcome = run_playbook(SITE, "-e", json.dumps(variables), *mode)
        assert outcome.rc != 0
        assert "Nothing was changed." in outcome.text
        for words in expected:
            assert words in outcome.text


@pytest.mark.usefixtures("untouched")
def test_an_inventory_without_monitoring(tmp_path: Path) -> None:
    outcome = run_playbook(SITE, inventory=inventory(tmp_path, {"api": [BOX]}))
    assert outcome.rc != 0
    assert "inventory group 'monitoring': expected at least one host, found none" in outcome.text


@pytest.mark.usefixtures("untouched")
def test_a_database_host_without_postgresql(tmp_path: Path) -> None:
    groups = {"monitoring": [BOX], "database": [BOX]}
    outcome = run_playbook(SITE, inventory=inventory(tmp_path, groups))
    assert outcome.rc != 0
    assert "group 'database': expected PostgreSQL's server" in outcome.text


@pytest.mark.usefixtures("untouched")
def test_a_taken_port() -> None:
    listener = "import socket,time;s=socket.create_server(('127.0.0.1',9090));time.sleep(90)"
    with subprocess.Popen(["docker", "exec", BOX, "python3", "-c", listener]) as holder:
        try:
            outcome = run_playbook(SITE)
        finally:
            subprocess.run(["docker", "exec", BOX, "pkill", "-f", "create_server"], check=True)
            holder.wait()
    assert outcome.rc != 0
    assert "port 9090: expected it free for prometheus.service, found" in outcome.text
    assert "python3" in outcome.text


def test_an_unsupported_distribution() -> None:
    release = (ROOT / "tests/integration/os-release-other").read_text()
    saved = subprocess.run(
        ["docker", "exec", BOX, "cat", "/usr/lib/os-release"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    def write(text: str) -> None:
        subprocess.run(
            ["docker", "exec", "-i", BOX, "sh", "-c", "cat > /usr/lib/os-release"],
            input=text,
            text=True,
            check=True,
        )

    write(release)
    try:
        outcome = run_playbook(SITE, "--flush-cache")
    finally:
        write(saved)
    assert outcome.rc != 0
    assert "distribution: expected Debian 12 or 13, found" in outcome.text


def test_an_unreachable_mirror() -> None:
    """Package lists that point at a closed loopback port stand for a mirror that is down."""
    sources = "/etc/apt/sources.list.d/closed.list"
    hide = (
        "mkdir /etc/apt/kept && mv /etc/apt/sources.list* /etc/apt/kept/ && mkdir /etc/apt/sources.list.d"
        f" && echo 'deb http://127.0.0.1:9/debian bookworm main' > {sources}"
        " && mv /var/lib/apt/lists /var/lib/apt/lists.kept"
    )
    show = (
        "rm -r /etc/apt/sources.list.d && mv /etc/apt/kept/* /etc/apt/ && rmdir /etc/apt/kept"
        " && rm -rf /var/lib/apt/lists && mv /var/lib/apt/lists.kept /var/lib/apt/lists"
    )
    subprocess.run(["docker", "exec", BOX, "sh", "-c", hide], check=True)
    try:
        outcome = run_playbook(SITE)
    finally:
        subprocess.run(["docker", "exec", BOX, "sh", "-c", show], check=True)
    assert outcome.rc != 0
    assert "127.0.0.1" in outcome.text
    assert "mirror" in outcome.text
    units = subprocess.run(
        ["docker", "exec", BOX, "systemctl", "list-unit-files", "prometheus*"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert "0 unit files" in units


def test_a_wrong_checksum(tmp_path: Path) -> None:
    archive = tmp_path / "node_exporter.tar.gz"
    archive.write_bytes(b"not what was announced")
    variables = {
        "node_exporter_install": "archive",
        "node_exporter_archive": str(archive),
        "node_exporter_archive_sha256": "0" * 64,
    }
    outcome = run_playbook(SITE, "-e", json.dumps(variables))
    assert outcome.rc != 0
    assert "0" * 64 in outcome.text
    exists = subprocess.run(
        ["docker", "exec", BOX, "ls", "/opt/koprogo/node_exporter"], check=False
    )
    assert exists.returncode != 0
