"""One list of all bans, whoever bans; bans that somebody flushed; and bans by hand."""

from __future__ import annotations

import ipaddress
import json
import time
from typing import Any

from tests.integration.ask import logql, wait_for
from tests.integration.attacks import raw_request
from tests.integration.play import run_playbook
from tests.integration.target import send, serving
from tests.integration.victim import ATTACKER, STORE, Victim, every_victim, on_each_victim

RESPOND = "playbooks/respond_attack.yml"
INTRUDER = "198.51.100.70"
INTRUDER6 = "fd42:66::66"


@on_each_victim
def test_its_api_leaves_8080_to_the_product(box: Victim) -> None:
    listening = box.sh("ss -Hltn")
    assert ":8080 " not in listening
    assert "127.0.0.1:8079 " in listening
    assert "127.0.0.1:60601 " in listening


@on_each_victim
def test_one_list_shows_fail2bans_bans_too(box: Victim) -> None:
    box.requests(100, ATTACKER)
    wait_for(lambda: ATTACKER in box.decisions(), seconds=15, what="an entry", every=0.5)
    assert box.decisions()[ATTACKER] == "fail2ban api-abuse"


@on_each_victim
def test_without_the_local_api_fail2ban_bans_all_the_same(box: Victim) -> None:
    box.sh("systemctl stop crowdsec")
    try:
        box.requests(100, ATTACKER)
        wait_for(lambda: not box.reaches(ATTACKER), seconds=20, what="a ban", every=0.5)
    finally:
        box.sh("systemctl start crowdsec crowdsec-firewall-bouncer")


@on_each_victim
def test_passwords_are_fail2bans(box: Victim) -> None:
    simulated = box.sh("cscli simulation status 2>&1")
    assert "crowdsecurity/ssh-bf" in simulated
    assert "crowdsecurity/pgsql-bf" in simulated


@on_each_victim
def test_flushed_tables_are_noticed_and_put_back(box: Victim) -> None:
    # CrowdSec holds fail2ban's bans too: each table has to drop packets without the other.
    box.sh("fail2ban-client set sshd banip 198.51.100.69")
    wait_for(lambda: "198.51.100.69" in box.decisions(), seconds=15, what="an entry", every=0.5)
    timers = "koprogo-fail2ban-watch.timer koprogo-crowdsec-watch.timer"
    # A watch that is on its way would put the bans back before anybody can ask.
    box.sh(f"systemctl stop {timers} koprogo-fail2ban-watch.service koprogo-crowdsec-watch.service")
    box.sh("nft delete table inet koprogo_fail2ban; nft delete table ip crowdsec")
    assert box.reaches("198.51.100.69")
    check = box.sh("python3 -I /etc/koprogo/fail2ban/watch --check || echo noticed")
    assert "jail sshd: expected 1 more addresses in nftables, such as 198.51.100.69" in check
    assert "noticed" in check

    box.sh("systemctl start koprogo-fail2ban-watch.service")
    assert not box.reaches("198.51.100.69")
    metrics = box.sh("cat /var/lib/prometheus/node-exporter/koprogo_fail2ban.prom")
    assert "koprogo_fail2ban_armed 1" in metrics
    assert 'koprogo_fail2ban_jail_banned{jail="sshd"} 1' in metrics
    assert 'koprogo_nft_set_present{jail="sshd"} 1' in metrics

    # Its heal started the jail again, and the list has the restored ban too.
    assert box.decisions()["198.51.100.69"] == "fail2ban sshd"
    # A bouncer that met the entry without its table may have ended, and be back with a new one.
    box.sh(
        "nft delete table inet koprogo_fail2ban; nft delete table ip crowdsec 2>/dev/null || true"
    )
    assert box.reaches("198.51.100.69")
    box.sh("systemctl start koprogo-crowdsec-watch.service")
    assert not box.reaches("198.51.100.69")
    metrics = box.sh("cat /var/lib/prometheus/node-exporter/koprogo_crowdsec.prom")
    assert "koprogo_crowdsec_armed 1" in metrics
    box.sh(f"systemctl start koprogo-fail2ban-watch.service {timers}")


def records(box: Victim) -> list[dict[str, Any]]:
    """What respond_attack has left on a host, oldest first."""
    text = box.sh("cat /var/lib/koprogo/remediation/attacks/*.json | tr -d '\\n'")
    found: list[dict[str, Any]] = json.loads(f"[{text.replace('}{', '},{')}]")
    return found


def test_respond_to_an_attack() -> None:
    boxes = every_victim()
    began = time.time()
    for box in boxes:
        box.requests(3, INTRUDER, path="/api/v1/buildings?id=1%20UNION%20SELECT")
        assert box.reaches(INTRUDER)
    outcome = run_playbook(RESPOND, "-e", f"address={INTRUDER} by=ada reason=test")
    assert outcome.rc == 0, outcome.text
    for box in boxes:
        assert not box.reaches(INTRUDER)
        assert box.decisions()[INTRUDER] == "test (by ada)"
        record = records(box)[-1]
        assert (record["action"], record["by"], record["dropped"]) == ("ban", "ada", True)
        assert record["before"] == []
        (seen,) = (one for one in record["evidence"] if one["log"].endswith("/api.log"))
        assert seen["found"] >= 3
        assert "UNION%20SELECT" in seen["lines"][-1]
    again = run_playbook(RESPOND, "-e", f"address={INTRUDER} by=ada reason=test")
    assert again.text.count("changed=0") == 2, again.text
    lifted = run_playbook(RESPOND, "-e", f"address={INTRUDER} lift=true by=grace")
    assert lifted.rc == 0, lifted.text
    for box in boxes:
        assert box.reaches(INTRUDER)
        record = records(box)[-1]
        assert (record["action"], record["by"], record["dropped"]) == ("unban", "grace", False)
        lines = box.sh("tail -2 /var/log/koprogo/remediation.log").splitlines()
        told = [(line["action"], line["outcome"]) for line in map(json.loads, lines)]
        assert told == [("ban", "dropped"), ("unban", "let in")]
    # On the dashboards too, from either host.
    query = f'{{job="koprogo-remediation"}} | json | address="{INTRUDER}"'

    def shown() -> list[tuple[str, str]]:
        lines = [json.loads(line) for _time, line in logql(STORE, query, since=time.time() - began)]
        return sorted((line["host"], line["action"]) for line in lines)

    every = sorted((box.name, action) for box in boxes for action in ("ban", "unban"))
    wait_for(lambda: shown() == every, seconds=30, what="what was done in Loki")


def test_some_are_never_banned() -> None:
    first, second = (box.name for box in every_victim())
    addresses = {first: "198.51.100.200", second: "198.51.100.0/24"}
    outcome = run_playbook(
        RESPOND, "-e", json.dumps({"address": f"{{{{ {addresses}[inventory_hostname] }}}}"})
    )
    assert outcome.text.count("failed=1") == 2
    assert "198.51.100.200 is on the allow-list" in outcome.text
    assert "expected one IPv4 or IPv6 address, found '198.51.100.0/24'" in outcome.text


@on_each_victim
def attack_over_ipv6(box: Victim) -> None:
    def banned() -> bool:
        return any(ipaddress.ip_address(one).compressed == INTRUDER6 for one in box.decisions())

    assert box.reaches(INTRUDER6)
    send(box, [(INTRUDER6, [raw_request("GET", "/?id=1%20UNION%20SELECT%20a")])])
    wait_for(banned, seconds=20, what="a decision", every=0.5)
    wait_for(lambda: not box.reaches(INTRUDER6), seconds=10, what="packets dropped", every=0.5)
    # Suricata and CrowdSec write it with all its zeros; the watch finds it in nftables all the same.
    assert box.gauge("koprogo_crowdsec_armed") == 1
    lifted = run_playbook(
        RESPOND, "--limit", box.name, "-e", f"address={INTRUDER6} lift=true by=grace"
    )
    assert lifted.rc == 0, lifted.text
    assert box.reaches(INTRUDER6)


def test_an_attack_over_ipv6_is_one_over_ipv4() -> None:
    with serving():
        attack_over_ipv6()


@on_each_victim
def test_a_lost_jail_is_noticed_and_started_again(box: Victim) -> None:
    box.sh("fail2ban-client set sshd banip 198.51.100.69")
    box.sh("fail2ban-client stop sshd")
    assert not box.banned("sshd")
    # The timer may have been quicker; what counts is that nobody has to come.
    box.sh("systemctl start koprogo-fail2ban-watch.service")
    assert "198.51.100.69" in box.banned("sshd")
    assert not box.reaches("198.51.100.69")
    assert box.gauge("koprogo_fail2ban_armed") == 1
