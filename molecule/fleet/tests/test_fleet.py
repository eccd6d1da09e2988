"""Twin monitoring hosts and a product that know each other by name."""

from __future__ import annotations

import json
import os
import re
import shlex
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import testinfra
import yaml

from tests.integration.ask import get, logql, sockets, targets_up, wait_for
from tests.integration.boxes import docker
from tests.integration.play import ROOT, run_playbook

TWINS = ("fleet-mon1", "fleet-mon2")
APP = "fleet-app1"
HOSTS = (*TWINS, APP)
DOORS = {"fleet-mon1": {9998, 4318, 9094}, "fleet-mon2": {9998, 4318, 9094}, APP: {9998}}
#: On every host, then on the twins, then on the product's.
JOBS = ("node", "log-collector", "metrics-gateway", "probe-doors", "blackbox")
TARGETS = {
    *((job, host) for job in JOBS for host in HOSTS),
    *((job, host) for job in ("prometheus", "alertmanager", "loki") for host in TWINS),
    *(
        (job, APP)
        for job in ("koprogo-api", "koprogo-api-health", "postgresql", "koprogo-business")
    ),
}


# Texts that do not compress.
_WRITE = """
import json, secrets, sys
with open("/var/log/koprogo/api.log", "a") as log:
    for n in range(int(sys.argv[1])):
        line = {"remote_addr": "127.0.0.1", "n": n, "id": sys.argv[2], "text": secrets.token_hex(300)}
        log.write(json.dumps(line) + "\\n")
"""


def of(name: str) -> Any:
    return testinfra.get_host(f"docker://{name}")


def network_address(name: str) -> str:
    """The one that other hosts see; the host's own files say another."""
    shown = "{{ range .NetworkSettings.Networks }}{{ .IPAddress }}{{ end }}"
    return docker("inspect", "--format", shown, name).strip()


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest) -> Any:
    return of(request.param)


@pytest.mark.parametrize("name", HOSTS)
def test_doors_are_where_the_others_come_in(name: str) -> None:
    host = of(name)
    assert host.check_output(f"getent ahostsv4 {name}").startswith("127.0.1.1")
    address = network_address(name)
    served = {
        where: int(where.rsplit(":", 1)[1])
        for where, process in sockets(host).items()
        # Not 127.0.1.1, which is no place for a door.
        if not where.startswith(("127.0.0.", "[::1]:")) and process != "sshd"
    }
    # PostgreSQL's own door to the API belongs to the product.
    ours = {where: port for where, port in served.items() if port != 5432}
    assert set(ours) == {f"{address}:{port}" for port in DOORS[name]}


def test_each_twin_scrapes_everything(twin: Any) -> None:
    found = wait_for(lambda: targets_up(twin), seconds=60, what="all targets up")
    expected = {one for one in TARGETS if one[0] != "grafana"}
    assert {one for one in found if one[0] != "grafana"} == expected


def test_the_twins_are_told_apart_and_their_alerts_are_not(twin: Any) -> None:
    config = json.loads(get(twin, "http://127.0.0.1:9090/api/v1/status/config"))["data"]["yaml"]
    name = twin.check_output("hostname")
    assert f"replica: {name}" in config.split("rule_files:")[0]
    alerts = json.loads(get(twin, "http://127.0.0.1:9093/api/v2/alerts"))
    assert all("replica" not in alert["labels"] for alert in alerts)


def test_the_alertmanagers_are_one_cluster_by_address(twin: Any) -> None:
    def members() -> set[str]:
        cluster = json.loads(get(twin, "http://127.0.0.1:9093/api/v2/status"))["cluster"]
        if cluster["status"] != "ready":
            return set()
        found = {peer["address"] for peer in cluster["peers"]}
        return found if len(found) == len(TWINS) else set()

    found = wait_for(members, seconds=60, what="both members, ready")
    assert found == {f"{network_address(name)}:9094" for name in TWINS}


def test_a_silence_set_on_one_twin_holds_on_the_other() -> None:
    first, second = map(of, TWINS)
    author = uuid.uuid4().hex
    first.check_output(
        "amtool --alertmanager.url=http://127.0.0.1:9093 silence add "
        f"alertname=NoSuchAlert --author={author} --comment=test --duration=5m"
    )
    wait_for(
        lambda: author in get(second, "http://127.0.0.1:9093/api/v2/silences"),
        seconds=30,
        what="the silence on the other twin",
    )


def test_a_line_reaches_both_twins_once() -> None:
    marker = uuid.uuid4().hex
    line = json.dumps({"remote_addr": "127.0.0.1", "level": "INFO", "message": marker})
    of(APP).check_output(f"echo '{line}' >> /var/log/koprogo/api.log")
    for name in TWINS:
        query = f'{{job="koprogo-api", host="{APP}"}} |= "{marker}"'
        lines = wait_for(
            partial(logql, of(name), query, since=300),
            seconds=30,
            what=f"the line in {name}'s Loki",
        )
        assert len(lines) == 1


@pytest.fixture
def small_queues() -> Iterator[None]:
    """Queues of 1 MiB on the product's host; a real one would take hours to fill."""

    def configure(*arguments: str) -> None:
        tags = "log_collector_configure,log_collector_service"
        outcome = run_playbook("playbooks/site.yml", "--limit", APP, "--tags", tags, *arguments)
        assert outcome.rc == 0, outcome.text

    configure("-e", "log_collector_queue_mib=1")
    yield
    configure()


@pytest.mark.usefixtures("small_queues")
def test_a_twin_that_is_down_for_long_keeps_no_line_from_the_other() -> None:
    """More than a queue holds, then a line that must arrive; and all of them at the twin when it is back."""
    marker = uuid.uuid4().hex
    there, down = map(of, TWINS)
    query = f'{{job="koprogo-api", host="{APP}"}} |= "{marker}"'
    count = f"sum(count_over_time({query} [30m]))"
    lines = 12_000

    def counted(host: Any) -> int:
        url = f"http://127.0.0.1:3100/loki/api/v1/query?{urlencode({'query': count})}"
        result = json.loads(get(host, url))["data"]["result"]
        return int(float(result[0]["value"][1])) if result else 0

    down.check_output("systemctl stop log-collector")
    try:
        of(APP).check_output(f"python3 -c {shlex.quote(_WRITE)} {lines} {marker}")
        wait_for(
            lambda: counted(there) == lines, seconds=90, what="every line at the twin that runs"
        )
        assert counted(down) == 0
    finally:
        down.check_output("systemctl start log-collector")
    wait_for(
        lambda: counted(down) == lines, seconds=120, what="every line at the twin that was down"
    )


def test_a_password_in_a_configuration_is_not_shown_when_it_is_set_or_rotated() -> None:
    def configure(password: str, *arguments: str) -> str:
        remote = {
            # Refused at once; Prometheus would wait for two minutes for a receiver that is down.
            "url": "http://127.0.0.1:9090/api/v1/write",
            "basic_auth": {"username": "koprogo", "password": password},
        }
        variables = json.dumps({"prometheus_remote_write": [remote] if password else []})
        tags = ("--tags", "prometheus_configure", "--limit", TWINS[0], "--diff", "-vvv")
        outcome = run_playbook(
            "playbooks/site.yml", "-e", f"@{_private(variables)}", *tags, *arguments
        )
        assert outcome.rc == 0, outcome.text
        return outcome.text

    def _private(text: str) -> str:
        path.write_text(text, encoding="utf-8")
        return str(path)

    path = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "remote-write.json"
    first, second = "Summer-of-2026", "Winter-of-2026"
    try:
        shown = configure(first, "--check") + configure(first)
        assert "password: ******** (new)" in shown
        rotated = configure(second, "--check")
        assert "password: ******** (old)" in rotated and "password: ******** (new)" in rotated
        assert "username: koprogo" in rotated
        assert first not in shown + rotated and second not in shown + rotated
    finally:
        configure("")


def test_verification_passes(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    outcome = run_playbook("playbooks/verify.yml", "-e", json.dumps({"verify_report": str(report)}))
    assert outcome.rc == 0, outcome.text
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["ok"] and found["failures"] == []


def test_numbers_of_the_command_line_are_numbers() -> None:
    """C(-e name=value) gives texts; the run means the same by them as by the defaults."""
    options = {
        name: str(option["default"])
        for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml"))
        for name, option in yaml.safe_load(path.read_text())["argument_specs"]["main"][
            "options"
        ].items()
        if option["type"] in ("int", "float") and not isinstance(option.get("default", ""), str)
    }
    assert len(options) > 20
    arguments = [part for name, value in options.items() for part in ("-e", f"{name}={value}")]
    outcome = run_playbook("playbooks/site.yml", *arguments)
    assert outcome.rc == 0, outcome.text
    assert re.findall(r"changed=(\d+)", outcome.text) == ["0"] * len(HOSTS)


def _state() -> dict[str, str]:
    """Of each host the sets of files in use and the processes, of a twin what it runs with too."""
    units = "prometheus prometheus-alertmanager loki log-collector prometheus-exporter-exporter"
    asked = (
        "find /etc/koprogo -maxdepth 1 -type l -printf '%p %l\\n' | sort"
        f" && systemctl show --property=Id,MainPID {units}"
    )
    return {name: of(name).check_output(asked) for name in HOSTS} | {
        f"{name} runs": get(of(name), "http://127.0.0.1:9090/api/v1/status/config")
        for name in TWINS
    }


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (
            "no-such-host.invalid",
            "found 'no-such-host.invalid', which the control node can't resolve",
        ),
        ("localhost", "found 'localhost', which the control node resolves to 127.0.0.1"),
        ("0.0.0.0", "found '0.0.0.0'"),
    ],
)
def test_an_address_that_nobody_can_come_to_stops_the_run_on_every_host(
    tmp_path: Path, name: str, found: str
) -> None:
    """Of one host; nothing is wrong with the twins, which the run would change."""
    hosts = {twin: {"prometheus_scrape_interval": "12s"} for twin in TWINS}
    further = tmp_path / "hosts.json"
    further.write_text(
        json.dumps({"all": {"hosts": {**hosts, APP: {"koprogo_address": name}}}}), encoding="utf-8"
    )
    before = _state()
    outcome = run_playbook("playbooks/site.yml", "-i", str(further))
    assert outcome.rc != 0
    assert (
        f"koprogo_address of {APP}: expected an address that the other hosts reach it by"
        in outcome.text
    )
    assert found in outcome.text
    assert "Nothing was changed." in outcome.text
    assert _state() == before
