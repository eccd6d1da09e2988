"""Engines killed, hosts restarted, an API stopped: protection comes back by itself, or says it is gone."""

from __future__ import annotations

from tests.integration.ask import promql, wait_for
from tests.integration.attacks import raw_request
from tests.integration.boxes import docker
from tests.integration.play import ROOT
from tests.integration.target import send, serving
from tests.integration.victim import ATTACKER, STORE, Victim, every_victim, on_each_victim

ENGINES = ("suricata", "fail2ban", "crowdsec")
UNITS = (*ENGINES, "crowdsec-firewall-bouncer")
INTRUDER = "198.51.100.70"
# On the allow-list: it is never kept out.
COLLEAGUE = "198.51.100.200"
CABLE = (ROOT / "molecule/detection/files/cable.sh").read_text(encoding="utf-8")
UNARMED = (
    'ALERTS{alertname="ProtectionUnarmed",alertstate="firing",engine="crowdsec",reason="not armed"}'
)


def wait_until_kept_out(box: Victim, seconds: float = 30) -> None:
    wait_for(
        lambda: not (box.reaches(ATTACKER) or box.reaches(INTRUDER)),
        seconds=seconds,
        what="both attackers kept out",
    )
    assert box.reaches(COLLEAGUE)


@on_each_victim
def kill(box: Victim) -> None:
    units = " ".join(UNITS)

    def processes() -> dict[str, str]:
        shown = box.sh(f"systemctl show -p Id,MainPID {units}").split()
        return dict(zip(shown[1::2], shown[::2], strict=True))

    def still_missing() -> set[str]:
        now = processes()
        return {unit for unit, pid in now.items() if pid in ("MainPID=0", before[unit])}

    # No host starts them as often as the tests before this one, and there is a limit.
    box.sh(f"systemctl reset-failed {units}")
    before = processes()
    assert len(before) == len(UNITS)
    box.sh(f"systemctl kill --signal=KILL {units}")
    try:
        wait_for(lambda: not still_missing(), seconds=60, what="all of them started again")
    except AssertionError as error:
        status = box.sh(f"systemctl status --no-pager {units}", check=False)
        raise AssertionError(f"still missing: {still_missing()}\n{status}") from error
    box.wait_until_armed(*ENGINES)


@on_each_victim
def attack(box: Victim) -> None:
    box.requests(100, ATTACKER)
    send(box, [(INTRUDER, [raw_request("GET", "/?id=1%20UNION%20SELECT%20a")])])
    wait_for(
        lambda: {ATTACKER, INTRUDER} <= box.decisions().keys(), seconds=20, what="a ban of either"
    )
    assert ATTACKER in box.banned("api-abuse")
    wait_until_kept_out(box)


def test_killed_engines_come_back_and_protect() -> None:
    kill()
    with serving():
        attack()


# Before the restart, which brings back the name server's rules that the engine of containers made.
@on_each_victim
def test_flushed_rules_come_back_and_nobody_came(box: Victim) -> None:
    box.sh(f"fail2ban-client set sshd banip {ATTACKER}; cscli decisions add --ip {INTRUDER}")
    # Never kept out, whoever bans.
    box.sh(f"cscli decisions add --ip {COLLEAGUE}")
    wait_until_kept_out(box)
    box.sh("nft flush ruleset")
    assert all(box.reaches(one) for one in (ATTACKER, INTRUDER))
    wait_until_kept_out(box, seconds=90)
    # Each by its own table: CrowdSec's list has both.
    box.wait_until_armed(*ENGINES)
    assert COLLEAGUE in box.sh("nft list table ip crowdsec")
    assert box.reaches(COLLEAGUE)


@on_each_victim
def test_a_host_that_restarts_forgets_nobody(box: Victim) -> None:
    box.sh(f"fail2ban-client set sshd banip {ATTACKER}; cscli decisions add --ip {INTRUDER}")
    wait_until_kept_out(box)
    docker("restart", "--time", "30", box.name)
    wait_for(
        lambda: (
            box.sh("systemctl is-system-running", check=False).strip() in ("running", "degraded")
        ),
        seconds=60,
        what=f"{box.name} up again",
    )
    # The cable is the test's own; who needs its interface may have to try again.
    docker("exec", "-i", box.name, "sh", "-s", stdin=CABLE)
    box.wait_until_armed(*ENGINES)
    wait_until_kept_out(box)
    tables = box.sh("nft list tables")
    assert all(
        name in tables for name in ("inet koprogo_fail2ban", "ip crowdsec\n", "ip6 crowdsec6")
    )


@on_each_victim
def stop_the_api(box: Victim) -> None:
    box.sh("systemctl stop crowdsec")
    box.wait_for_gauges(0, "koprogo_crowdsec_armed")


@on_each_victim
def start_the_api(box: Victim) -> None:
    box.sh("systemctl start crowdsec crowdsec-firewall-bouncer")
    box.wait_until_armed("crowdsec")


def test_a_stopped_local_api_is_an_alert() -> None:
    everywhere = {box.name for box in every_victim()}

    def told() -> set[str]:
        return {one["metric"]["host"] for one in promql(STORE, UNARMED)}

    try:
        stop_the_api()
        wait_for(lambda: told() == everywhere, seconds=60, what="ProtectionUnarmed for both hosts")
    finally:
        start_the_api()
    wait_for(lambda: not told(), seconds=30, what="no alert any more")
