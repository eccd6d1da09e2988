"""From an attack to dropped packets, one list of all bans, and the way back."""

from __future__ import annotations

import json

import pytest

from tests.integration.ask import wait_for
from tests.integration.play import run_playbook
from tests.integration.victim import ATTACKER, Victim

RESPOND = "playbooks/respond_attack.yml"
INTRUDER = "198.51.100.70"


@pytest.fixture(autouse=True)
def _nobody_is_banned() -> None:
    for name in ("detect-box12", "detect-box13"):
        Victim(name).unban_all()
        Victim(name).sh("cscli decisions delete --all")


def decisions(box: Victim) -> dict[str, str]:
    """Reason of each active decision by address."""
    found = json.loads(box.sh("cscli decisions list -o json 2>/dev/null")) or []
    return {d["value"]: d["scenario"] for a in found for d in a["decisions"]}


def test_its_api_leaves_8080_to_the_product(box: Victim) -> None:
    listening = box.sh("ss -Hltn")
    assert ":8080 " not in listening
    assert "127.0.0.1:8079 " in listening
    assert "127.0.0.1:60601 " in listening


def test_an_attack_leads_to_dropped_packets_and_back(box: Victim) -> None:
    assert box.reaches(INTRUDER)
    box.sh(
        "systemd-run -q --unit probe-target python3 -m http.server --bind 198.51.100.1 8081",
        check=False,
    )
    request = (
        "import socket,time\n"
        "time.sleep(1)\n"
        f"s=socket.socket(); s.bind(('{INTRUDER}',0)); s.connect(('198.51.100.1',8081))\n"
        "s.sendall(b'GET /?id=1%20UNION%20SELECT%20a HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
        "s.recv(100); s.close()\n"
    )
    box.attack("python3", "-c", request, check=True)
    box.sh("systemctl stop probe-target")
    wait_for(lambda: INTRUDER in decisions(box), seconds=15, what="a decision", every=0.5)
    wait_for(lambda: not box.reaches(INTRUDER), seconds=15, what="dropped packets", every=0.5)
    box.sh(f"cscli decisions delete --ip {INTRUDER}")
    wait_for(lambda: box.reaches(INTRUDER), seconds=15, what="access", every=0.5)


def test_one_list_shows_fail2bans_bans_too(box: Victim) -> None:
    box.requests(100, ATTACKER)
    wait_for(lambda: ATTACKER in decisions(box), seconds=15, what="an entry", every=0.5)
    assert decisions(box)[ATTACKER] == "fail2ban api-abuse"


def test_without_the_local_api_fail2ban_bans_all_the_same(box: Victim) -> None:
    box.sh("systemctl stop crowdsec")
    try:
        box.requests(100, ATTACKER)
        wait_for(lambda: not box.reaches(ATTACKER), seconds=20, what="a ban", every=0.5)
    finally:
        box.sh("systemctl start crowdsec crowdsec-firewall-bouncer")


def test_passwords_are_fail2bans(box: Victim) -> None:
    simulated = box.sh("cscli simulation status 2>&1")
    assert "crowdsecurity/ssh-bf" in simulated
    assert "crowdsecurity/pgsql-bf" in simulated


def test_flushed_sets_are_noticed_and_put_back(box: Victim) -> None:
    box.sh(f"cscli decisions add --ip {INTRUDER} --duration 1h --reason test")
    wait_for(lambda: not box.reaches(INTRUDER), seconds=15, what="a ban", every=0.5)
    box.sh("systemctl stop koprogo-crowdsec-watch.timer && nft delete table ip crowdsec")
    assert box.reaches(INTRUDER)
    box.sh("systemctl start koprogo-crowdsec-watch.service koprogo-crowdsec-watch.timer")
    assert not box.reaches(INTRUDER)
    metrics = box.sh("cat /var/lib/prometheus/node-exporter/koprogo_crowdsec.prom")
    assert "koprogo_crowdsec_armed 1" in metrics


def test_respond_to_an_attack() -> None:
    boxes = [Victim(name) for name in ("detect-box12", "detect-box13")]
    outcome = run_playbook(RESPOND, "-e", f"address={INTRUDER} by=ada reason=test")
    assert outcome.rc == 0, outcome.text
    for box in boxes:
        assert not box.reaches(INTRUDER)
        assert decisions(box)[INTRUDER] == "test (by ada)"
        record = json.loads(box.sh("cat /var/lib/koprogo/remediation/attacks/*.json"))
        assert record["dropped"] is True
        assert record["by"] == "ada"
    again = run_playbook(RESPOND, "-e", f"address={INTRUDER} by=ada reason=test")
    assert again.text.count("changed=0") == 2, again.text
    lifted = run_playbook(RESPOND, "-e", f"address={INTRUDER} lift=true by=ada")
    assert lifted.rc == 0, lifted.text
    for box in boxes:
        assert box.reaches(INTRUDER)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("198.51.100.200", "is on the allow-list"),
        ("198.51.100.0/24", "expected one IPv4 or IPv6 address"),
    ],
)
def test_some_are_never_banned(address: str, expected: str) -> None:
    outcome = run_playbook(RESPOND, "-e", f"address={address}")
    assert outcome.rc != 0
    assert expected in outcome.text
