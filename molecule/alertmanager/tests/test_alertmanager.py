"""The cluster, asked over its own interfaces, and what a wrong option does."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import testinfra

from tests.integration.ask import get, sockets, wait_for

NAMES = ("alert-mon12", "alert-mon13")
API = "http://127.0.0.1:9093"
HERE = Path(__file__).parent
SECRETS = ("R0UTING-k3y-only-for-alertmanager", "sms-t0ken-only-for-alertmanager")


def of(name: str) -> Any:
    return testinfra.get_host(f"docker://{name}")


@pytest.fixture(params=NAMES)
def member(request: pytest.FixtureRequest) -> Any:
    return of(request.param)


def listens(name: str, port: int) -> bool:
    return bool(of(name).socket(f"tcp://127.0.0.1:{port}").is_listening)


def status(host: Any) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(get(host, f"{API}/api/v2/status"))
    return answer


def ready(host: Any) -> dict[str, Any]:
    cluster: dict[str, Any] = status(host)["cluster"]
    return cluster if cluster["status"] == "ready" and len(cluster["peers"]) == 2 else {}


def address(host: Any) -> str:
    return str(host.check_output("hostname -i").split()[0])


def converge(*flags: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run the scenario's playbook again with other variables, as a user would."""
    argv = ["ansible-playbook", "-i", os.environ["MOLECULE_INVENTORY_FILE"], "--diff", *flags]
    argv += [str(HERE.parent / "converge.yml"), "-e", json.dumps(variables)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)


def test_both_are_in_one_cluster(member: Any) -> None:
    wait_for(lambda: ready(member), seconds=60, what="two members, ready")


def test_sockets_are_loopback_and_the_door(member: Any) -> None:
    ours = {w for w, p in sockets(member).items() if p.startswith("prometheus-aler")}
    assert ours == {"127.0.0.1:9093", f"{address(member)}:9094"}
    # Plain gossip would use UDP.
    assert ":9094" not in member.check_output("ss -lun")


def test_hardened(member: Any) -> None:
    text = member.check_output("systemd-analyze security prometheus-alertmanager --no-pager")
    assert float(text.split("service: ")[1].split()[0]) <= 2.0


@pytest.mark.parametrize("certificate", ["none", "of another authority"])
def test_a_stranger_cannot_gossip(certificate: str) -> None:
    here, there = of(NAMES[0]), address(of(NAMES[1]))
    options = ""
    if certificate != "none":
        here.check_output(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 "
            "-subj /CN=alert-mon12 -keyout /tmp/other.key -out /tmp/other.crt"
        )
        options = "-cert /tmp/other.crt -key /tmp/other.key"
    # TLS 1.3 says no only after the client's first bytes.
    run = here.run(
        f"sh -c '(sleep 1; echo hello; sleep 1) | timeout 10 openssl s_client "
        f"-connect {there}:9094 -CAfile /etc/koprogo/pki/ca.crt {options} -ign_eof 2>&1'"
    )
    assert "alert" in run.stdout.lower()
    run = here.run(
        f"sh -c '(sleep 1; echo hello; sleep 1) | timeout 10 openssl s_client "
        f"-connect {there}:9094 -CAfile /etc/koprogo/pki/ca.crt -cert /etc/koprogo/pki/host.crt "
        f"-key /var/lib/koprogo/pki/host.key -ign_eof 2>&1'"
    )
    assert "tlsv1 alert" not in run.stdout.lower()


def test_secrets_are_alertmanagers_alone(member: Any) -> None:
    path = "/etc/koprogo/alertmanager/secrets/pagerduty"
    assert member.file(path).content_string == SECRETS[0]
    assert member.file(path).mode == 0o640
    # Debian's Prometheus and exporters run as the same user.
    assert (
        member.run(f"setpriv --reuid prometheus --regid prometheus --init-groups cat {path}").rc
        != 0
    )
    shown = member.check_output("systemctl show prometheus-alertmanager; ps axww -o args")
    assert not any(secret in shown for secret in SECRETS)


@pytest.fixture
def receivers() -> Iterator[None]:
    program = shlex.quote((HERE / "receiver.py").read_text())
    for name in NAMES:
        # Alertmanager's own hosts: the receivers are as far away as a loopback is.
        of(name).check_output(f"sh -c {shlex.quote(f'printf %s {program} > /run/receiver.py')}")
        of(name).check_output("rm -f /run/received")
        of(name).check_output(
            "systemd-run --quiet --unit=receiver python3 /run/receiver.py /run/received"
        )
        wait_for(partial(listens, name, 18080), seconds=15, what="receiver")
    yield
    for name in NAMES:
        of(name).run("systemctl stop receiver")


def received() -> list[dict[str, Any]]:
    texts = [of(name).run("cat /run/received").stdout for name in NAMES]
    return [json.loads(line) for text in texts for line in text.splitlines()]


@pytest.mark.usefixtures("receivers")
def test_both_get_the_alert_and_one_notifies() -> None:
    for name in NAMES:
        wait_for(partial(ready, of(name)), seconds=60, what="cluster")
    alert = f"Test{uuid.uuid4().hex[:6]}"
    for name in NAMES:
        of(name).check_output(
            f"amtool --alertmanager.url={API} alert add {alert} severity=critical"
        )
    wait_for(lambda: len(received()) >= 2, seconds=60, what="PagerDuty's and the SMS notification")
    # The second member waits for the first one, then sees that it notified.
    of(NAMES[0]).run("sleep 20")
    found = received()
    assert sorted(r["path"].split("?")[0] for r in found) == ["/pagerduty", "/sms"]
    pager = next(r["body"] for r in found if r["path"] == "/pagerduty")
    assert pager["routing_key"] == SECRETS[0]
    assert pager["payload"]["summary"] == f"On {alert}"
    assert any(r["path"] == f"/sms?token={SECRETS[1]}" for r in found)


@pytest.mark.parametrize("check", [True, False], ids=["check mode", "for real"])
@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (
            {"alertmanager_route": {"receiver": "nobody"}},
            "alertmanager_route.receiver: expected a receiver that exists (nowhere, pager), found 'nobody'",
        ),
        (
            {"alertmanager_secrets": {"pagerduty": "", "sms_token": SECRETS[1]}},
            "alertmanager_secrets.pagerduty: expected a secret, found an empty value",
        ),
        (
            {"alertmanager_inhibit_rules": [{"source_match": {"x": SECRETS[1]}, "nonsense": True}]},
            "field nonsense not found",
        ),
    ],
    ids=["unknown receiver", "empty secret", "amtool refuses"],
)
def test_wrong_options_change_nothing(option: dict[str, Any], sentence: str, check: bool) -> None:
    before = [of(name).check_output("readlink /etc/koprogo/alertmanager") for name in NAMES]
    flags = ["--tags", "alertmanager_configure", *(["--check"] if check else [])]
    run = converge(*flags, **option)
    assert run.returncode != 0
    assert sentence in " ".join((run.stdout + run.stderr).split())
    assert not any(secret in run.stdout + run.stderr for secret in SECRETS)
    assert [of(name).check_output("readlink /etc/koprogo/alertmanager") for name in NAMES] == before
    assert all("pager" in status(of(name))["config"]["original"] for name in NAMES)


def test_a_new_route_is_a_reload_and_no_restart() -> None:
    host = of(NAMES[0])
    pid = host.check_output("systemctl show --value -p MainPID prometheus-alertmanager")
    route = {"receiver": "pager", "routes": []}
    run = converge("--tags", "alertmanager_configure", alertmanager_route=route)
    assert run.returncode == 0, run.stdout[-3000:]
    assert pid == host.check_output("systemctl show --value -p MainPID prometheus-alertmanager")
    tested = host.check_output(
        f"amtool --alertmanager.url={API} config routes test severity=warning"
    )
    assert tested.strip() == "pager"
    assert converge("--tags", "alertmanager_configure").returncode == 0


def test_absent_leaves_nothing_of_ours() -> None:
    run = converge(alertmanager_state="absent")
    assert run.returncode == 0, run.stdout[-3000:]
    for name in NAMES:
        host = of(name)
        assert not host.file("/etc/koprogo/alertmanager").exists
        assert not host.file(
            "/etc/systemd/system/prometheus-alertmanager.service.d/50-koprogo.conf"
        ).exists
        assert not host.package("prometheus-alertmanager").is_installed
        assert not host.group("koprogo-alertmanager").exists
        assert not host.socket("tcp://127.0.0.1:9093").is_listening
    again = converge(alertmanager_state="absent")
    assert again.returncode == 0
    assert "changed=0" in again.stdout
