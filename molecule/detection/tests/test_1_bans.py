"""The runbook's three jails: one try less is no ban, the last one is, and a ban drops packets."""

from __future__ import annotations

import shlex

import pytest

from tests.integration.ask import wait_for
from tests.integration.guesses import login, ssh
from tests.integration.victim import ATTACKER, ATTACKER6, Victim, on_each_victim


def failures(box: Victim, jail: str) -> int:
    """How many failures a jail has counted since it started."""
    text = box.sh(f"fail2ban-client status {jail}")
    return int(text.partition("Total failed:")[2].split()[0])


def wait_until_counted(box: Victim, jail: str, total: int) -> None:
    wait_for(
        lambda: failures(box, jail) >= total, seconds=15, what=f"{jail} counts {total}", every=0.3
    )


def assert_only_reported(box: Victim, source: str, scenario: str) -> None:
    """CrowdSec has read the same log, and leaves the ban to the jail."""
    wait_for(lambda: scenario in box.reported(source), seconds=10, what=f"{scenario} of {source}")
    assert box.decisions().get(source) != scenario


@pytest.mark.parametrize("source", ["198.51.100.67", ATTACKER6])
@on_each_victim
def test_ssh_ten_tries(box: Victim, source: str) -> None:
    before = failures(box, "sshd")
    ssh(box, source, 9)
    wait_until_counted(box, "sshd", before + 9)
    assert source not in box.banned("sshd")
    assert box.reaches(source)
    ssh(box, source, 1)
    wait_for(lambda: source in box.banned("sshd"), seconds=10, what="a ban", every=0.3)
    dropped = box.counted()
    assert not box.reaches(source)
    assert box.counted() > dropped
    assert box.sh("fail2ban-client get sshd bantime").strip() == "600"
    assert_only_reported(box, source, "crowdsecurity/ssh-bf")
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
    sources = {ATTACKER, ATTACKER6}
    before = failures(box, "api-abuse")
    for source in sources:
        box.requests(99, source)
    wait_until_counted(box, "api-abuse", before + 2 * 99)
    assert not box.banned("api-abuse")
    for source in sources:
        box.requests(1, source)
    wait_for(lambda: box.banned("api-abuse") == sources, seconds=10, what="two bans", every=0.3)
    assert not any(map(box.reaches, sources))
    assert box.sh("fail2ban-client get api-abuse bantime").strip() == "3600"
    box.sh(f"fail2ban-client unban {' '.join(sources)}")
    wait_for(lambda: all(map(box.reaches, sources)), seconds=10, what="access", every=0.5)


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
    assert not box.reported("203.0.113.9")


@on_each_victim
def test_an_address_that_no_proxy_vouched_for_is_nobody(box: Victim) -> None:
    box.requests(150, "-")
    box.requests(150, "203.0.113.9, 198.51.100.66")
    box.requests(100, ATTACKER)
    wait_for(lambda: box.banned("api-abuse"), seconds=10, what="a ban", every=0.3)
    assert box.banned("api-abuse") == {ATTACKER}


@on_each_victim
def test_postgresql_ten_tries(box: Victim) -> None:
    sources = {"198.51.100.68", ATTACKER6}
    before = failures(box, "postgresql")
    for source in sources:
        login(box, source, 9)
    wait_until_counted(box, "postgresql", before + 2 * 9)
    assert not box.banned("postgresql")
    for source in sources:
        login(box, source, 1)
    wait_for(lambda: box.banned("postgresql") == sources, seconds=10, what="two bans", every=0.3)
    assert not any(box.reaches(source, 5432) for source in sources)
    for source in sources:
        assert_only_reported(box, source, "crowdsecurity/pgsql-bf")
    box.sh(f"fail2ban-client unban {' '.join(sources)}")
    wait_for(
        lambda: all(box.reaches(source, 5432) for source in sources),
        seconds=10,
        what="access",
        every=0.5,
    )


@on_each_victim
def test_a_line_break_in_a_user_name_frames_nobody(box: Victim) -> None:
    # The server completes it to the line that CrowdSec's hub looks for.
    forged = 'a"\n2026-11-22 18:40:00.000 UTC [9] 203.0.113.9 a'
    login(box, "198.51.100.68", 10, user=forged)
    wait_for(lambda: box.banned("postgresql"), seconds=10, what="a ban", every=0.3)
    assert box.banned("postgresql") == {"198.51.100.68"}
    assert "UTC [9] 203.0.113.9 a" in box.sh("cat /var/log/postgresql/*.log")
    assert not box.reported("203.0.113.9")


@on_each_victim
def test_who_is_on_the_allow_list_is_never_banned(box: Victim) -> None:
    box.requests(300, "198.51.100.200")
    box.requests(100, ATTACKER)
    wait_for(lambda: ATTACKER in box.banned("api-abuse"), seconds=10, what="a ban", every=0.3)
    assert box.banned("api-abuse") == {ATTACKER}


@on_each_victim
def test_hardened(box: Victim) -> None:
    for unit in ("fail2ban", "suricata", "crowdsec", "crowdsec-firewall-bouncer"):
        text = box.sh(f"systemd-analyze security {unit} --no-pager")
        assert float(text.split("service: ")[1].split()[0]) <= 2.0, unit


@on_each_victim
def test_postgresql_was_not_restarted_for_its_prefix(box: Victim) -> None:
    # The first is from before the roles came.
    before, now = box.sh(
        "cat /run/postmaster-before; head -1 /var/lib/postgresql/*/main/postmaster.pid"
    ).split()
    assert now == before
    prefix = box.sh("runuser -u postgres -- psql -Atc 'show log_line_prefix'")
    assert prefix.strip() == "%m [%p] %q%h"
    assert box.sh("runuser -u postgres -- psql -Atc 'show log_hostname'").strip() == "off"
