"""The Security Events dashboard on hosts that are attacked: each of its queries finds something."""

from __future__ import annotations

from lab.panel_check import FOLDER, Outcome, check, span_of, summary
from lab.panels import load
from tests.integration.ask import wait_for
from tests.integration.attacks import raw_request
from tests.integration.guesses import ssh
from tests.integration.panels import stack_of
from tests.integration.target import send, serving
from tests.integration.victim import ATTACKER, STORE, Victim, on_each_victim

BOARD = "koprogo-security"
INTRUDER = "198.51.100.67"
GUESSER = "198.51.100.68"
# They tell of what else went on, whether an alert fires just then or the API was started. Nothing else
# may be empty.
NOT_HERE = {
    "*/annotation/*": "annotations are about other things",
    "koprogo-security/16/D": "the doors of these hosts have no firewall",
}


def attack(box: Victim) -> None:
    box.sh("su -s /bin/sh postgres -c true")
    ssh(box, GUESSER, 2)
    box.requests(
        5,
        INTRUDER,
        method="POST",
        path="/api/v1/auth/login",
        route="/api/v1/auth/login",
        status=401,
    )
    send(box, [(INTRUDER, [raw_request("GET", "/panels?id=1%20UNION%20SELECT%20a")])])
    box.requests(100, ATTACKER)


def test_every_query_of_the_security_dashboard_finds_the_attacks() -> None:
    with serving():
        on_each_victim(attack)()
    dashboards = {BOARD: load(FOLDER)[BOARD]}
    outcomes: list[Outcome] = []

    def all_is_well() -> bool:
        # Who is banned goes on knocking, and is dropped.
        on_each_victim(lambda box: box.reaches(ATTACKER))()
        outcomes[:] = check(stack_of(STORE), dashboards, span_of(10), NOT_HERE)
        return not any(one.failed for one in outcomes)

    try:
        wait_for(all_is_well, seconds=90, what="data for every query", every=5)
    except AssertionError as error:
        raise AssertionError(summary(outcomes)) from error
    # Whatever the excuses would let pass.
    assert sum(one.state == "data" for one in outcomes) > 30, summary(outcomes)
