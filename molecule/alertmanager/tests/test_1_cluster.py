"""The cluster and its secrets, asked over its own interfaces."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.ask import sockets, wait_for
from tests.integration.cluster import CONFIG, NAMES, of, ready

SECRETS = {
    "pagerduty_routing_key": "R0UTING-k3y-only-for-alertmanager",
    "slack_webhook_url": "hook-only-for-alertmanager",
    "heartbeat_url": "beat-only-for-alertmanager",
    "aws_credentials": "aws-s3cret-only-for-alertmanager",
}


@pytest.fixture(params=NAMES)
def member(request: pytest.FixtureRequest) -> Any:
    return of(request.param)


def address(host: Any) -> str:
    return str(host.check_output("hostname -i").split()[0])


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
    # Whoever may gossip is silent here: Alertmanager would take four letters for a length of 1.7 GB.
    run = here.run(
        f"sh -c 'sleep 2 | timeout 10 openssl s_client "
        f"-connect {there}:9094 -CAfile /etc/koprogo/pki/ca.crt -cert /etc/koprogo/pki/host.crt "
        f"-key /var/lib/koprogo/pki/host.key -ign_eof 2>&1'"
    )
    assert "tlsv1 alert" not in run.stdout.lower()


def test_secrets_are_alertmanagers_alone(member: Any) -> None:
    paths = {name: f"/etc/koprogo/alertmanager/secrets/{name}" for name in SECRETS}
    for name, path in paths.items():
        assert SECRETS[name] in member.file(path).content_string
    for path in (*paths.values(), CONFIG):
        assert member.file(path).mode == 0o640
        assert member.file(path).group == "koprogo-alertmanager"
        # Debian's Prometheus and exporters run as the same user.
        read = f"setpriv --reuid prometheus --regid prometheus --init-groups cat {path}"
        assert member.run(read).rc != 0
    shown = member.check_output("systemctl show prometheus-alertmanager; ps axww -o args")
    assert not any(secret in shown for secret in SECRETS.values())
    # 0.25 reads no webhook's URL from a file; nothing else is in the configuration.
    written = member.file(CONFIG).content_string
    found = {name for name, secret in SECRETS.items() if secret in written}
    assert found == ({"heartbeat_url"} if member.backend.name == NAMES[0] else set())
