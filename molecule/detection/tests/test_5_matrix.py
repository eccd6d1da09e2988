"""Each kind of attack, from its first packet to access again, through everything that the table promises."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.integration.ask import get, logql, wait_for
from tests.integration.forged import frame
from tests.integration.matrix import MATRIX, Kind
from tests.integration.target import serving
from tests.integration.victim import STORE, Victim, every_victim, on_each_victim

RULER = "http://127.0.0.1:3100/prometheus/api/v1/alerts"
# On the allow-list: it is never kept out, so the host is there.
COLLEAGUE = "198.51.100.200"
# Attacks come in its name, and none from it.
FRAMED = "198.51.100.98"


def wait_for_none(find: Callable[[], object], seconds: float, every: float = 1) -> None:
    """Until nothing is found any more; what was found last is said."""
    with contextlib.suppress(AssertionError):
        wait_for(lambda: not find(), seconds=seconds, what="", every=every)
    assert not (found := find()), found


def missing_lines(box: Victim, kind: Kind) -> list[str]:
    """Addresses of which the table's query finds no line."""
    query = kind.query.replace("}", f',host="{box.name}"}}', 1)
    text = "\n".join(line for _moment, line in logql(STORE, query, since=300))
    return [
        one for one in kind.sources if f'"{one}"' not in text and f"Ban {one}\n" not in f"{text}\n"
    ]


def firing() -> set[tuple[str, str]]:
    """Host and kind of each attack that Loki's ruler tells of."""
    alerts = json.loads(get(STORE, RULER))["data"]["alerts"]
    return {
        (alert["labels"]["host"], alert["labels"]["attack"])
        for alert in alerts
        if alert["labels"]["alertname"] == "AttackDetected" and alert["state"] == "firing"
    }


def attack(box: Victim) -> None:
    frame(box, FRAMED)
    for kind in MATRIX:
        kind.assault(box, kind.sources)


def banned(box: Victim) -> None:
    """Everybody is in the one list of bans, for their own attack, and kept out."""
    wanted = {one: kind.decision for kind in MATRIX if kind.decision for one in kind.sources}

    def wrong() -> dict[str, str | None]:
        found = box.decisions()
        return {one: found.get(one) for one, reason in wanted.items() if found.get(one) != reason}

    wait_for_none(wrong, seconds=30)
    # A scanner is banned by hand alone.
    by_hand = [one for kind in MATRIX if not kind.decision for one in kind.sources]
    assert not by_hand & box.decisions().keys()
    box.sh(f"cscli decisions add --ip {by_hand[0]} --reason 'port scan'")
    assert box.reaches(COLLEAGUE)

    def let_in() -> list[str]:
        with ThreadPoolExecutor() as pool:
            reach = pool.map(lambda kind: box.reaches(kind.sources[0], kind.port), MATRIX)
        return [kind.name for kind, yes in zip(MATRIX, reach, strict=True) if yes]

    # The bouncer learns of a decision some seconds after it stands in the list.
    wait_for_none(let_in, seconds=15)


def spared(box: Victim) -> None:
    """A minute after the forged packets nobody holds them against the address."""
    assert FRAMED not in box.decisions()
    assert FRAMED not in box.sh("cat /var/log/suricata/eve.json")
    assert box.reaches(FRAMED)


def lift(box: Victim) -> None:
    """The table's own command gives access again."""
    for kind in MATRIX:
        box.sh(kind.lift.replace("ADDRESS", kind.sources[0]))
    for kind in MATRIX:
        wait_for(
            partial(box.reaches, kind.sources[0], kind.port),
            seconds=15,
            what=f"access after {kind.lift}",
            every=0.5,
        )


def test_each_attack_is_seen_told_and_kept_out_until_the_ban_is_lifted() -> None:
    with serving():
        on_each_victim(attack)()
    on_each_victim(banned)()
    boxes = every_victim()

    def unseen() -> list[tuple[str, str, list[str]]]:
        lines = [
            (box.name, kind.name, missing_lines(box, kind)) for box in boxes for kind in MATRIX
        ]
        return [one for one in lines if one[2]]

    wait_for_none(unseen, seconds=20)
    kinds = {(box.name, kind.label) for box in boxes for kind in MATRIX}
    # The ruler looks once a minute.
    wait_for_none(lambda: kinds - firing(), seconds=90, every=2)
    on_each_victim(spared)()
    on_each_victim(lift)()
