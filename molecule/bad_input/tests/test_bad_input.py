"""What is wrong with one host is refused with what was expected and found, and every host stays as it was."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.boxes import docker
from tests.integration.play import ROOT, Outcome, filesystem_changes, run_playbook

BOX = "bad-box1"
#: Nothing is wrong with the second.
BOXES = (BOX, "bad-box2")
SITE = "playbooks/site.yml"


@contextlib.contextmanager
def nothing_changes() -> Iterator[None]:
    before = [filesystem_changes(name) for name in BOXES]
    yield
    assert [filesystem_changes(name) for name in BOXES] == before


@pytest.fixture
def untouched() -> Iterator[None]:
    with nothing_changes():
        yield


def rules(*alerts: str) -> dict[str, object]:
    """A rule file with these alerts."""
    return {"groups": [{"name": "own", "rules": [{"alert": a, "expr": "up"} for a in alerts]}]}


def refused(outcome: Outcome, *sentences: str) -> None:
    assert outcome.rc != 0
    for words in ("Nothing was changed.", *sentences):
        assert words in outcome.text


def inventory(
    tmp_path: Path, groups: dict[str, list[str]], variables: dict[str, Any] | None = None
) -> str:
    """Of both hosts; the variables are the first one's."""
    path = tmp_path / "hosts.json"
    sound = {
        "ansible_connection": "community.docker.docker",
        "koprogo_address": "{{ ansible_facts['default_ipv4']['address'] }}",
    }
    hosts: dict[str, dict[str, Any]] = {name: dict(sound) for name in BOXES}
    hosts[BOX] |= variables or {}
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
            {
                "prometheus_retenton": "9d",
                "prometheus_port": "web",
                "prometheus_retention": "forever",
            },
            [
                "prometheus_retenton: unknown option; did you mean prometheus_retention?",
                "argument 'prometheus_port' is of type str and we were unable to convert to int",
                "prometheus_retention: expected a duration such as 15s, 12h or 30d, found 'forever'",
            ],
        ),
        (
            {"loki_retention": "1h", "loki_install": "pip", "loki_archive_sha256": "abc"},
            [
                "loki_retention: expected a retention of at least 1d, found '1h'",
                "value of loki_install must be one of: package, archive, none, got: pip",
                "loki_archive_sha256: expected a SHA-256 of 64 lower-case hexadecimal digits, found 'abc'",
            ],
        ),
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
        ({"prometheus_port": 9093}, ["prometheus_port", "alertmanager_port", "9093"]),
        ({"loki_grpc_port": 9093}, ["loki_grpc_port", "alertmanager_port", "9093"]),
        (
            {"koprogo_omit": [], "grafana_admin_password": ""},
            ["grafana_admin_password: expected a value"],
        ),
        (
            {"koprogo_omit": [], "grafana_admin_password": "abcd"},
            ["grafana_admin_password: expected at least 5 characters, found fewer"],
        ),
        (
            {"pki_renew_befor_days": 30, "firewall_logs_port": "web", "metrics_gateway_prt": 1},
            [
                "pki_renew_befor_days: unknown option; did you mean pki_renew_before_days?",
                "role firewall: argument 'firewall_logs_port' is of type str",
                "metrics_gateway_prt: unknown option; did you mean metrics_gateway_port?",
            ],
        ),
        (
            {"firewall_extra_sources": ["no-such-host.invalid"], "pki_certificate": "mine"},
            [
                "firewall_extra_sources: expected 'no-such-host.invalid' to be a host of the inventory",
                "pki_ca_certificate: expected the authorities of pki_certificate, found nothing",
                "pki_certificate: expected certificates in PEM format",
                "pki_private_key: expected the key of pki_certificate, which is not on the host",
            ],
        ),
        (
            {"koprogo_protct": True, "koprogo_protect": "maybe", "koprogo_api_port": "web"},
            [
                "koprogo_protct: unknown option; did you mean koprogo_protect?",
                "inventory: argument 'koprogo_protect' is of type str",
                "inventory: argument 'koprogo_api_port' is of type str",
            ],
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
        (
            {
                "prometheus_alerts": {"DiskFull": {"for": "-1m"}, "HighCpu": {"threshold": "20%"}},
                "koprogo_alerts": {"DiskFul": {"enabled": False}},
            },
            [
                "prometheus_alerts.DiskFull.for: expected a duration such as 0s, 30s or 1h30m, found '-1m'",
                "prometheus_alerts.HighCpu.threshold: expected a number, found '20%'",
                "koprogo_alerts.DiskFul: unknown alert; did you mean DiskFull?",
            ],
        ),
        (
            {
                "prometheus_rules": {"own": rules("ApiDown", "Mine"), "more": rules("Mine")},
                "loki_rules": {"lines": rules("Mine")},
            },
            [
                "prometheus_rules.own: expected alerts of other names than the catalogue's, found 'ApiDown'",
                "prometheus_rules.more: expected alert 'Mine' with these labels once, found it in 'own' too",
                "loki_rules.lines: expected alert 'Mine' with these labels once, found it in "
                "'prometheus_rules.own' too",
            ],
        ),
        (
            {
                "loki_install": "package",
                "loki_repository": "http://127.0.0.1:9/apt",
                "loki_repository_key": "http://127.0.0.1:9/gpg.key",
                "node_exporter_install": "archive",
                "node_exporter_archive": "http://127.0.0.1:9/node_exporter.tar.gz",
                "node_exporter_archive_sha256": "0" * 64,
            },
            [
                "loki_repository: expected an address that this host reaches, found "
                "http://127.0.0.1:9/apt/dists/stable/: Could not connect to 127.0.0.1:9",
                "loki_repository_key: expected an address that this host reaches, found "
                "http://127.0.0.1:9/gpg.key: Connection refused",
                "node_exporter_archive: expected a file that this host can fetch, found "
                "http://127.0.0.1:9/node_exporter.tar.gz: Connection refused",
            ],
        ),
        ({"loki_archive_sha256": ""}, ["loki_archive_sha256: expected a value", "loki_install"]),
    ],
)
def test_a_bad_option_of_one_host_is_named(
    tmp_path: Path, variables: dict[str, Any], expected: list[str]
) -> None:
    further = ("-i", inventory(tmp_path, {}, variables))
    for mode in ([], ["--check", "--diff"]):
        refused(run_playbook(SITE, *further, *mode), *expected)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("groups", [{}, {"monitoring": []}], ids=["no group", "an empty group"])
def test_an_inventory_without_monitoring(tmp_path: Path, groups: dict[str, list[str]]) -> None:
    outcome = run_playbook(SITE, inventory=inventory(tmp_path, {"api": [BOX]} | groups))
    refused(outcome, "inventory group 'monitoring': expected at least one host, found none")


@pytest.mark.usefixtures("untouched")
def test_a_database_host_without_postgresql(tmp_path: Path) -> None:
    groups = {"monitoring": [BOX], "database": [BOX]}
    outcome = run_playbook(SITE, inventory=inventory(tmp_path, groups))
    refused(outcome, "group 'database': expected PostgreSQL's server")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("port", "unit"), [(9090, "prometheus"), (9096, "loki")])
def test_a_taken_port(port: int, unit: str) -> None:
    listener = f"import socket,time;s=socket.create_server(('127.0.0.1',{port}));time.sleep(90)"
    with subprocess.Popen(["docker", "exec", BOX, "python3", "-c", listener]) as holder:
        try:
            outcome = run_playbook(SITE)
        finally:
            subprocess.run(["docker", "exec", BOX, "pkill", "-f", "create_server"], check=True)
            holder.wait()
    refused(outcome, f"port {port}: expected it free for {unit}.service, found", "python3")


def test_an_unsupported_distribution() -> None:
    release = (ROOT / "tests/integration/os-release-other").read_text()
    saved = docker("exec", BOX, "cat", "/usr/lib/os-release")

    def write(text: str) -> None:
        subprocess.run(
            ["docker", "exec", "-i", BOX, "sh", "-c", "cat > /usr/lib/os-release"],
            input=text,
            text=True,
            check=True,
        )

    write(release)
    try:
        with nothing_changes():
            outcome = run_playbook(SITE, "--flush-cache")
    finally:
        write(saved)
    refused(outcome, "distribution: expected Debian 12 or 13, found")


def test_an_unreachable_mirror_of_one_host() -> None:
    """A source of packages that points at a closed loopback port stands for a mirror that is down."""
    sources = "/etc/apt/sources.list.d/closed.list"
    hide = (
        "mkdir /etc/apt/kept && mv /etc/apt/sources.list* /etc/apt/kept/ && mkdir /etc/apt/sources.list.d"
        f" && echo 'deb http://127.0.0.1:9/debian bookworm main' > {sources}"
        " && mv /var/lib/apt/lists /var/lib/apt/lists.kept && mkdir -p /var/lib/apt/lists/partial"
    )
    show = (
        "rm -r /etc/apt/sources.list.d && mv /etc/apt/kept/* /etc/apt/ && rmdir /etc/apt/kept"
        " && rm -rf /var/lib/apt/lists && mv /var/lib/apt/lists.kept /var/lib/apt/lists"
    )
    docker("exec", BOX, "sh", "-c", hide)
    try:
        with nothing_changes():
            outcome = run_playbook(SITE)
    finally:
        docker("exec", BOX, "sh", "-c", show)
    refused(
        outcome,
        "packages: expected a mirror that this host reaches, found "
        "http://127.0.0.1:9/debian/: Could not connect to 127.0.0.1:9",
    )


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("there", [True, False], ids=["another file", "no file"])
def test_a_wrong_checksum(tmp_path: Path, *, there: bool) -> None:
    archive = tmp_path / "node_exporter.tar.gz"
    if there:
        archive.write_bytes(b"not what was announced")
    variables = {
        "node_exporter_install": "archive",
        "node_exporter_archive": str(archive),
        "node_exporter_archive_sha256": "0" * 64,
    }
    sentence = f"node_exporter_archive: expected a file of the control node, found no {archive}"
    if there:
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        sentence = (
            f"node_exporter_archive_sha256: expected the checksum of {archive}, which is {digest}, "
            f"found {'0' * 64}"
        )
    refused(run_playbook(SITE, "-i", inventory(tmp_path, {}, variables)), sentence)


@pytest.mark.usefixtures("untouched")
def test_a_wrong_checksum_of_what_the_host_fetches(tmp_path: Path) -> None:
    """The host downloads it to nowhere: another one's packages must not be installed by then."""
    url = "file:///etc/debian_version"
    found = docker("exec", BOX, "sha256sum", "/etc/debian_version").split()[0]
    variables = {
        "node_exporter_install": "archive",
        "node_exporter_archive": url,
        "node_exporter_archive_sha256": "0" * 64,
    }
    for mode in ([], ["--check"]):
        refused(
            run_playbook(SITE, "-i", inventory(tmp_path, {}, variables), *mode),
            f"node_exporter_archive_sha256: expected the checksum of {url}, which is {found}, "
            f"found {'0' * 64}",
        )
