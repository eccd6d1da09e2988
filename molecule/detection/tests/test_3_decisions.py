"""One list of all bans, whoever bans; bans that somebody flushed; and bans by hand."""

from __future__ import annotations

import ipaddress
import json
import time
from typing import Any

from tests.integration.ask import logql, wait_for
from tests.integration.attacks import raw_request
from tests.integration.play import Outcome, run_playbook
from tests.integration.target import send, serving
from tests.integration.victim import (
    API_LOG,
    ATTACKER,
    ATTACKER6,
    STORE,
    Victim,
    every_victim,
    on_each_victim,
)

RESPOND = "playbooks/respond_attack.yml"
INTRUDER = "198.51.100.70"
# On the allow-list.
COLLEAGUE = "198.51.100.200"


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
    assert API_LOG in box.sh("cscli metrics 2>&1")


@on_each_victim
def flood(box: Victim) -> None:
    box.sh("systemctl stop crowdsec")
    box.requests(100, ATTACKER)
    wait_for(lambda: not box.reaches(ATTACKER), seconds=20, what="a ban", every=0.5)


@on_each_victim
def start_crowdsec(box: Victim) -> None:
    box.sh("systemctl start crowdsec crowdsec-firewall-bouncer")


def test_without_the_local_api_fail2ban_bans_all_the_same() -> None:
    able, unable = every_victim()
    # A ban by hand lasts as long as asked, or is refused: no jail has four hours. Who doesn't ask gets what
    # there is.
    duration = f"{{{{ '' if inventory_hostname == '{able.name}' else '4h' }}}}"
    variables = {"address": INTRUDER, "duration": duration, "reason": "test", "by": "ada"}
    try:
        flood()
        outcome = run_playbook(RESPOND, "-e", json.dumps(variables))
        assert outcome.text.count("failed=1") == 1, outcome.text
        assert not able.reaches(INTRUDER)
        assert INTRUDER in able.banned("api-abuse")
        assert (
            "for 1h, the longest it can, instead of 4h, and its list has no place" in outcome.text
        )
        assert (record := records(able)[-1])["reason"] == "test"
        assert 3500 < float(record["after"][0]["remaining"].removesuffix("s")) <= 3600
        assert unable.reaches(INTRUDER)
        assert "10m (sshd); asked for 4h. Nothing was changed" in outcome.text
    finally:
        start_crowdsec()


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


@on_each_victim
def test_the_allow_list_comes_before_every_ban(box: Victim) -> None:
    stranger = "198.51.100.72"

    def both_are_banned() -> bool:
        return COLLEAGUE in box.sh("nft list table ip crowdsec") and not box.reaches(stranger)

    # As the community's list or a person would: CrowdSec itself never bans somebody who is on it.
    for address in (COLLEAGUE, stranger):
        box.sh(f"cscli decisions add --ip {address}")
    wait_for(both_are_banned, seconds=15, what="both banned")
    assert box.reaches(COLLEAGUE)
    box.sh("systemctl restart crowdsec-firewall-bouncer")
    wait_for(both_are_banned, seconds=15, what="both banned again")
    assert box.reaches(COLLEAGUE)


def records(box: Victim) -> list[dict[str, Any]]:
    """What respond_attack has left on a host, oldest first."""
    text = box.sh("cat /var/lib/koprogo/remediation/attacks/*.json | tr -d '\\n'")
    found: list[dict[str, Any]] = json.loads(f"[{text.replace('}{', '},{')}]")
    return found


def test_respond_to_an_attack() -> None:
    boxes = every_victim()
    # IPv4 on the one release, IPv6 on the other.
    intruders = dict(zip(boxes, (INTRUDER, ATTACKER6), strict=True))
    by_name = {box.name: intruder for box, intruder in intruders.items()}
    address = f"{{{{ {by_name}[inventory_hostname] }}}}"

    def respond(**variables: str) -> Outcome:
        return run_playbook(RESPOND, "-e", json.dumps({"address": address, **variables}))

    began = time.time()
    for box, intruder in intruders.items():
        box.requests(3, intruder, path="/api/v1/buildings?id=1%20UNION%20SELECT")
        assert box.reaches(intruder)
    outcome = respond(by="ada", reason="test")
    assert outcome.rc == 0, outcome.text
    for box, intruder in intruders.items():
        assert not box.reaches(intruder)
        assert box.decisions()[intruder] == "test (by ada)"
        record = records(box)[-1]
        assert (record["action"], record["by"], record["dropped"]) == ("ban", "ada", True)
        assert record["before"] == []
        (seen,) = (one for one in record["evidence"] if one["log"].endswith("/api.log"))
        assert seen["found"] >= 3
        assert "UNION%20SELECT" in seen["lines"][-1]
    again = respond(by="ada", reason="test")
    assert again.text.count("changed=0") == 2, again.text
    lifted = respond(by="grace", lift="true")
    assert lifted.rc == 0, lifted.text
    for box, intruder in intruders.items():
        assert box.reaches(intruder)
        record = records(box)[-1]
        assert (record["action"], record["by"], record["dropped"]) == ("unban", "grace", False)
        lines = box.sh("tail -2 /var/log/koprogo/remediation.log").splitlines()
        told = [(line["action"], line["outcome"]) for line in map(json.loads, lines)]
        assert told == [("ban", "dropped"), ("unban", "let in")]
    # On the dashboards too, from either host.
    query = f'{{job="koprogo-remediation"}} | json | address=~"{INTRUDER}|{ATTACKER6}"'

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
        return any(ipaddress.ip_address(one).compressed == ATTACKER6 for one in box.decisions())

    assert box.reaches(ATTACKER6)
    send(box, [(ATTACKER6, [raw_request("GET", "/?id=1%20UNION%20SELECT%20a")])])
    wait_for(banned, seconds=20, what="a decision", every=0.5)
    wait_for(lambda: not box.reaches(ATTACKER6), seconds=10, what="packets dropped", every=0.5)
    # Suricata and CrowdSec write it with all its zeros; the watch finds it in nftables all the same.
    box.wait_until_armed("crowdsec")
    lifted = run_playbook(
        RESPOND, "--limit", box.name, "-e", f"address={ATTACKER6} lift=true by=grace"
    )
    assert lifted.rc == 0, lifted.text
    assert box.reaches(ATTACKER6)


def test_an_attack_over_ipv6_is_one_over_ipv4() -> None:
    with serving():
        attack_over_ipv6()


@on_each_victim
def test_a_lost_jail_is_noticed_and_started_again(box: Victim) -> None:
    box.sh("fail2ban-client set sshd banip 198.51.100.69")
    box.sh("fail2ban-client stop sshd")
    assert not box.banned("sshd")
    wait_for(lambda: "198.51.100.69" in box.banned("sshd"), seconds=60, what="the jail again")
    wait_for(lambda: not box.reaches("198.51.100.69"), seconds=10, what="packets dropped")
    box.wait_until_armed("fail2ban")
