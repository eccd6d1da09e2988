"""The runbook's three jails: one try less is no ban, the last one is, and a ban drops packets."""

from __future__ import annotations

import shlex

import pytest

from tests.integration.ask import wait_for
from tests.integration.guesses import login, ssh
from tests.integration.victim import ATTACKER, Victim, on_each_victim


def failures(box: Victim, jail: str) -> int:
    """How many failures a jail has counted since it started."""
    text = box.sh(f"fail2ban-client status {jail}")
    return int(text.partition("Total failed:")[2].split()[0])


def wait_until_counted(box: Victim, jail: str, total: int) -> None:
    wait_for(
        lambda: failures(box, jail) >= total, seconds=15, what=f"{jail} counts {total}", every=0.3
    )


@pytest.mark.parametrize("source", ["198.51.100.67", "fd42:66::66"])
@on_each_victim
def test_ssh_ten_tries(box: Victim, source: str) -> None:
    before = failures(box, "sshd")
    ssh(box, source, 9)
    wait_until_counted(box, "sshd", before + 9)
    assert source not in box.banned("sshd")
    assert box.reaches(source)
    ssh(box, source, 1)
    wait_for(lambda: source in box.banned("sshd"), seconds=10, what="a ban", every=0.3)
    dropped = box.dropped()
    assert not box.reaches(source)
    assert box.dropped() > dropped
    assert box.sh("fail2ban-client get sshd bantime").strip() == "600"
    box.sh(f"fail2ban-client unban {source}")
    wait_for(lambda: box.reaches(source), seconds=10, what="access", every=0.5)


@on_each_victim
def test_a_program_named_sshd_frames_nobody(box: Victim) -> None:
    before = failures(box, "sshd")
    line = shlex.quote("Invalid user a from 203.0.113.9 port 1")
    box.sh(
        "install -m 0755 /usr/bin/logger /tmp/sshd; "
        f"for i in $(seq 12); do runuser -u nobody -- /tmp/sshd -t sshd {line}; done"
    )
    # A real one after them: when it is counted, they have been read.
    ssh(box, "198.51.100.69", 1)
    wait_until_counted(box, "sshd", before + 1)
    assert failures(box, "sshd") == before + 1
    assert not box.banned("sshd")


@on_each_victim
def test_api_hundred_requests(box: Victim) -> None:
    before = failures(box, "api-abuse")
    box.requests(99, ATTACKER)
    wait_until_counted(box, "api-abuse", before + 99)
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
@on_each_victim
def test_nobody_is_framed_by_what_a_client_sends(box: Victim, fields: dict[str, str]) -> None:
    box.requests(120, ATTACKER, **fields)
    wait_for(lambda: box.banned("api-abuse"), seconds=10, what="a ban", every=0.3)
    assert box.banned("api-abuse") == {ATTACKER}


@on_each_victim
def test_an_address_that_no_proxy_vouched_for_is_nobody(box: Victim) -> None:
    box.requests(150, "-")
    box.requests(150, "203.0.113.9, 198.51.100.66")
    box.requests(100, ATTACKER)
    wait_for(lambda: box.banned("api-abuse"), seconds=10, what="a ban", every=0.3)
    assert box.banned("api-abuse") == {ATTACKER}


@on_each_victim
def test_postgresql_ten_tries(box: Victim) -> None:
    before = failures(box, "postgresql")
    login(box, "198.51.100.68", 9)
    wait_until_counted(box, "postgresql", before + 9)
    assert not box.banned("postgresql")
    login(box, "198.51.100.68", 1)
    wait_for(lambda: box.banned("postgresql"), seconds=10, what="a ban", every=0.3)
    assert box.banned("postgresql") == {"198.51.100.68"}
    assert not box.reaches("198.51.100.68", 5432)
    box.sh("fail2ban-client unban 198.51.100.68")
    wait_for(lambda: box.reaches("198.51.100.68", 5432), seconds=10, what="access", every=0.5)


@on_each_victim
def test_a_line_break_in_a_user_name_frames_nobody(box: Victim) -> None:
    forged = 'a"\n2026-11-22 18:40:00.000 UTC [9] 203.0.113.9 a'
    login(box, "198.51.100.68", 10, user=forged)
    wait_for(lambda: box.banned("postgresql"), seconds=10, what="a ban", every=0.3)
    assert box.banned("postgresql") == {"198.51.100.68"}
    assert "UTC [9] 203.0.113.9 a" in box.sh("cat /var/log/postgresql/*.log")


@on_each_victim
def test_who_is_on_the_allow_list_is_never_banned(box: Victim) -> None:
    box.requests(300, "198.51.100.200")
    box.requests(100, ATTACKER)
    wait_for(lambda: ATTACKER in box.banned("api-abuse"), seconds=10, what="a ban", every=0.3)
    assert box.banned("api-abuse") == {ATTACKER}


@on_each_victim
def test_hardened(box: Victim) -> None:
    text = box.sh("systemd-analyze security fail2ban --no-pager")
    assert float(text.split("service: ")[1].split()[0]) <= 2.0
