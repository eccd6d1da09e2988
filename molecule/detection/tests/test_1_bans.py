"""The runbook's three jails: one try less is no ban, the last one is, and a ban drops packets."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.integration.ask import wait_for
from tests.integration.play import ROOT, run_playbook
from tests.integration.victim import ATTACKER, Victim

CONVERGE = str(ROOT / "molecule/detection/converge.yml")


@pytest.fixture(autouse=True)
def _nobody_is_banned() -> None:
    for name in ("detect-box12", "detect-box13"):
        Victim(name).unban_all()


def tried(box: Victim, source: str) -> int:
    """How often sshd has refused an address by now."""
    lines = box.sh("journalctl -u ssh -o cat --no-pager").splitlines()
    return sum(line.startswith("Invalid user") and f" from {source} " in line for line in lines)


def ssh(box: Victim, source: str, tries: int) -> None:
    """Fail to sign in until sshd has said so as often; a busy machine loses a connection now and then."""
    target = box.gateway[6 if ":" in source else 4]
    wanted = tried(box, source) + tries
    while (missing := wanted - tried(box, source)) > 0:
        command = (
            f"for i in $(seq {missing}); do ssh -o BatchMode=yes -o StrictHostKeyChecking=no "
            f"-o ConnectTimeout=10 -o BindAddress={source} -o LogLevel=ERROR nobody-$i@{target} true; "
            "done; sleep 0.3"
        )
        box.attack("sh", "-c", command)


def failures(box: Victim, jail: str) -> int:
    text = box.sh(f"fail2ban-client status {jail}")
    return int(text.partition("Currently failed:")[2].split()[0])


@pytest.mark.parametrize("source", ["198.51.100.67", "fd42:66::66"])
def test_ssh_ten_tries(box: Victim, source: str) -> None:
    ssh(box, source, 9)
    wait_for(lambda: failures(box, "sshd"), seconds=10, what="sshd's lines are seen")
    assert source not in box.banned("sshd")
    assert box.reaches(source)
    ssh(box, source, 1)
    wait_for(lambda: source in box.banned("sshd"), seconds=10, what="a ban", every=0.3)
    before = box.dropped()
    assert not box.reaches(source)
    assert box.dropped() > before
    assert box.sh("fail2ban-client get sshd bantime").strip() == "600"
    box.sh(f"fail2ban-client unban {source}")
    wait_for(lambda: box.reaches(source), seconds=10, what="access", every=0.5)


def test_api_hundred_requests(box: Victim) -> None:
    box.requests(99, ATTACKER)
    wait_for(lambda: failures(box, "api-abuse"), seconds=10, what="the API's lines are seen")
    assert not box.banned("api-abuse")
    box.requests(1, ATTACKER)
    wait_for(lambda: ATTACKER in box.banned("api-abuse"), seconds=10, what="a ban", every=0.3)
    assert not box.reaches(ATTACKER)
    assert box.sh("fail2ban-client get api-abuse bantime").strip() == "3600"
    box.sh(f"fail2ban-client unban {ATTACKER}")
    wait_for(lambda: box.reaches(ATTACKER), seconds=10, what="access", every=0.5)


@pytest.mark.parametrize(
    "fields",
    [
        {"user_agent": '{"remote_addr":"203.0.113.9","timestamp":"2026-01-01T00:00:00.000Z"'},
        {"path": '/x","remote_addr":"203.0.113.9'},
        {"user_agent": '\n{"remote_addr":"203.0.113.9","timestamp":"","level":"INFO","method":"'},
        {"message": "\u2028203.0.113.9"},
    ],
)
def test_nobody_is_framed_by_what_a_client_sends(box: Victim, fields: dict[str, str]) -> None:
    box.requests(120, ATTACKER, **fields)
    wait_for(lambda: box.banned("api-abuse"), seconds=10, what="a ban", every=0.3)
    assert box.banned("api-abuse") == {ATTACKER}


def test_an_address_that_no_proxy_vouched_for_is_nobody(box: Victim) -> None:
    box.requests(150, "-")
    box.requests(150, "203.0.113.9, 198.51.100.66")
    box.requests(100, ATTACKER)
    wait_for(lambda: box.banned("api-abuse"), seconds=10, what="a ban", every=0.3)
    assert box.banned("api-abuse") == {ATTACKER}


def login(box: Victim, source: str, tries: int, user: str = "koprogo") -> None:
    """Fail to sign in to the database."""
    connect = (
        f"hostaddr=198.51.100.1 user='{user}' password=wrong dbname=koprogo_db sslmode=disable"
    )
    # psql can't choose its own address; a route can.
    box.attack("ip", "route", "replace", "198.51.100.0/24", "dev", "eth0", "src", source)
    loop = f"for i in $(seq {tries}); do psql {shlex.quote(connect)} -c 'select 1'; done"
    box.attack("sh", "-c", loop)


def test_postgresql_ten_tries(box: Victim) -> None:
    login(box, "198.51.100.68", 9)
    wait_for(lambda: failures(box, "postgresql"), seconds=10, what="PostgreSQL's lines are seen")
    assert not box.banned("postgresql")
    login(box, "198.51.100.68", 1)
    wait_for(lambda: box.banned("postgresql"), seconds=10, what="a ban", every=0.3)
    assert box.banned("postgresql") == {"198.51.100.68"}
    assert not box.reaches("198.51.100.68", 5432)
    box.sh("fail2ban-client unban 198.51.100.68")
    wait_for(lambda: box.reaches("198.51.100.68", 5432), seconds=10, what="access", every=0.5)


def test_a_line_break_in_a_user_name_frames_nobody(box: Victim) -> None:
    forged = 'a"\n2026-11-22 18:40:00.000 UTC [9] 203.0.113.9 a'
    login(box, "198.51.100.68", 12, user=forged)
    wait_for(lambda: box.banned("postgresql"), seconds=10, what="a ban", every=0.3)
    assert box.banned("postgresql") == {"198.51.100.68"}
    assert "UTC [9] 203.0.113.9 a" in box.sh("cat /var/log/postgresql/*.log")


def test_who_is_on_the_allow_list_is_never_banned(box: Victim) -> None:
    box.requests(300, "198.51.100.200")
    box.requests(100, ATTACKER)
    wait_for(lambda: ATTACKER in box.banned("api-abuse"), seconds=10, what="a ban", every=0.3)
    assert box.banned("api-abuse") == {ATTACKER}


def test_bans_survive_a_restart_and_another_run() -> None:
    boxes = [Victim(name) for name in ("detect-box12", "detect-box13")]

    def everywhere() -> bool:
        return all(ATTACKER in b.banned("api-abuse") and not b.reaches(ATTACKER) for b in boxes)

    for box in boxes:
        box.requests(100, ATTACKER)
    wait_for(everywhere, seconds=10, what="a ban", every=0.3)
    pids = [b.sh("head -1 /var/lib/postgresql/*/main/postmaster.pid") for b in boxes]
    for box in boxes:
        box.sh("systemctl restart fail2ban")
    wait_for(everywhere, seconds=15, what="the restored ban", every=0.3)
    outcome = run_playbook(CONVERGE)
    assert outcome.rc == 0, outcome.text
    assert outcome.text.count("changed=0") == 2
    assert everywhere()
    # A changed option is a reload, and a reload forgets nobody.
    outcome = run_playbook(CONVERGE, "-e", '{"fail2ban_sshd_maxretry": 11}')
    assert outcome.rc == 0, outcome.text
    for box in boxes:
        assert box.sh("fail2ban-client get sshd maxretry").strip() == "11"
    assert everywhere()
    assert run_playbook(CONVERGE).rc == 0
    assert everywhere()
    assert [b.sh("head -1 /var/lib/postgresql/*/main/postmaster.pid") for b in boxes] == pids


def test_flushed_rules_are_noticed_and_put_back(box: Victim) -> None:
    box.sh("fail2ban-client set sshd banip 198.51.100.69")
    assert not box.reaches("198.51.100.69")
    box.sh("systemctl stop koprogo-fail2ban-watch.timer && nft delete table inet koprogo_fail2ban")
    assert box.reaches("198.51.100.69")
    check = box.sh("python3 -I /etc/koprogo/fail2ban/watch --check || echo noticed")
    assert "jail sshd: expected 1 more addresses in nftables, such as 198.51.100.69" in check
    assert "noticed" in check
    box.sh("systemctl start koprogo-fail2ban-watch.service koprogo-fail2ban-watch.timer")
    assert not box.reaches("198.51.100.69")
    metrics = box.sh("cat /var/lib/prometheus/node-exporter/koprogo_fail2ban.prom")
    assert "koprogo_fail2ban_armed 1" in metrics
    assert 'koprogo_fail2ban_jail_banned{jail="sshd"} 1' in metrics
    assert 'koprogo_nft_set_present{jail="sshd"} 1' in metrics


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"koprogo_allowlist": ["198.51.100.300"]}, "koprogo_allowlist: expected an address"),
        ({"koprogo_allowlist": ["0.0.0.0/0"]}, "expected a network of at least /8"),
        (
            {"fail2ban_jails": {"own": {"filter": "sshd"}}},
            "jail own: expected a logpath or journalmatch",
        ),
        (
            {
                "fail2ban_jails": {"own": {"logpath": "/var/log/dpkg.log"}},
                "fail2ban_filters": {"own": "[Definition]\nfailregex = ^((<HOST>$\n"},
            },
            "jail own: expected a failregex that compiles",
        ),
    ],
)
def test_bad_input_changes_nothing(variables: dict[str, object], expected: str) -> None:
    boxes = [Victim(name) for name in ("detect-box12", "detect-box13")]
    before = [box.sh("readlink /etc/koprogo/fail2ban") for box in boxes]
    outcome = run_playbook(CONVERGE, "-e", json.dumps(variables))
    assert outcome.rc != 0
    assert expected in outcome.text
    assert [box.sh("readlink /etc/koprogo/fail2ban") for box in boxes] == before


def test_preflight_says_what_is_wrong() -> None:
    boxes = [Victim(name) for name in ("detect-box12", "detect-box13")]
    taken = "import socket,time;s=socket.create_server(('127.0.0.1',8055));time.sleep(60)"
    for box in boxes:
        box.sh(f"systemd-run -q --unit taken python3 -c {shlex.quote(taken)}")
    variables = {
        "fail2ban_allowlist": ["198.51.100.300"],
        "fail2ban_api_log": "/var/log/koprogo/none.log",
        "suricata_interfaces": ["eth7"],
        "suricata_home_net": ["10.0.0.0/33"],
        "crowdsec_api_port": 8055,
        "crowdsec_ban_duration": "long",
    }
    playbook = str(ROOT / "molecule/detection/preflight.yml")
    outcome = run_playbook(playbook, "-e", json.dumps(variables))
    for box in boxes:
        box.sh("systemctl stop taken")
    assert outcome.rc != 0
    for sentence in (
        "Nothing was changed.",
        "fail2ban_allowlist: expected an address or a network",
        "fail2ban_api_log: expected a log to watch, found no file /var/log/koprogo/none.log",
        "suricata_interfaces: expected an interface of this host",
        "suricata_home_net: expected an address or a network",
        "port 8055: expected it free for crowdsec.service",
        "crowdsec_ban_duration: expected a duration",
    ):
        assert sentence in outcome.text, outcome.text


def test_hardened(box: Victim) -> None:
    text = box.sh("systemd-analyze security fail2ban --no-pager")
    assert float(text.split("service: ")[1].split()[0]) <= 2.0
