"""What is told: every line in Loki, and the gauges of who protects nothing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from tests.integration.ask import get, logql, wait_for
from tests.integration.attacks import raw_request
from tests.integration.target import send, serving
from tests.integration.victim import STORE, Victim, every_victim, on_each_victim

LOKI = "http://127.0.0.1:3100"
ATTACKS = 60
ROTATE = "logrotate --force --state /run/rotated /etc/koprogo/suricata/logrotate.conf"


# The role's own, and where it has ET Open, those too.
RULES = "$(readlink -f /etc/koprogo/suricata/rules/koprogo.rules) /var/lib/suricata/koprogo/et-open.rules"


def test_attacks_are_lines_in_loki_while_the_log_is_rotated() -> None:
    marker = uuid.uuid4().hex
    boxes = every_victim()

    def attack(box: Victim) -> None:
        path = "/{}/{}?id=1%20UNION%20SELECT%20a"
        for first in range(0, ATTACKS, ATTACKS // 3):
            numbers = range(first, first + ATTACKS // 3)
            requests = [raw_request("GET", path.format(marker, number)) for number in numbers]
            send(box, [("198.51.100.200", requests)])
            # Twice in the midst of it: the collector reads on in the file that got another name.
            if first + ATTACKS // 3 < ATTACKS:
                box.sh(ROTATE)

    def found() -> dict[str, int]:
        query = '{job="suricata",host="%s"} |= "%s" | json sid="alert.signature_id" | sid="9100001"'
        return {box.name: len(logql(STORE, query % (box.name, marker), since=600)) for box in boxes}

    with serving():
        on_each_victim(attack)()
    try:
        everything = {box.name: ATTACKS for box in boxes}
        wait_for(lambda: found() == everything, seconds=20, what="all lines, each once")
    except AssertionError:
        assert found() == everything

    # Labels are streams: none may come from what an attacker sends.
    for job in ("suricata", "fail2ban", "crowdsec"):
        answer = json.loads(get(STORE, f'{LOKI}/loki/api/v1/series?match[]=%7Bjob="{job}"%7D'))
        streams = answer["data"]
        assert {stream["host"] for stream in streams} == {box.name for box in boxes}, job
        assert all(set(stream) == {"job", "host", "deployment"} for stream in streams), streams


@pytest.fixture
def _armed_again() -> Iterator[None]:
    yield
    on_each_victim(_rearm)()


def _rearm(box: Victim) -> None:
    box.sh(f"for rules in {RULES}; do ! test -e $rules.kept || mv $rules.kept $rules; done")
    box.sh("suricatasc -c reload-rules; systemctl unmask --runtime crowdsec-firewall-bouncer")
    # Emptied: fail2ban reads it from its beginning, and takes lines older than a minute for new ones.
    box.sh(
        "! test -e /run/api.log || { : > /run/api.log; mv /run/api.log /var/log/koprogo/api.log; }"
    )
    box.sh("systemctl start crowdsec-firewall-bouncer koprogo-crowdsec-watch.timer")


@pytest.mark.usefixtures("_armed_again")
@on_each_victim
def test_each_of_the_three_says_that_it_protects_nothing(box: Victim) -> None:
    engines = ("suricata", "fail2ban", "crowdsec")
    assert [box.gauge(f"koprogo_{engine}_armed") for engine in engines] == [1, 1, 1]
    # No rules.
    box.sh(
        f"for rules in {RULES}; do ! test -e $rules || {{ cp -p $rules $rules.kept; echo > $rules; }}; done; "
        "suricatasc -c reload-rules"
    )
    assert box.gauge("koprogo_suricata_armed") == 0
    assert box.gauge("koprogo_suricata_rules_loaded") == 0
    # A jail without its log.
    box.sh("mv /var/log/koprogo/api.log /run/api.log")
    assert box.gauge("koprogo_fail2ban_armed") == 0
    # No table, which the bouncer may take with it when it stops, and a bouncer that can't be started.
    box.sh("systemctl stop koprogo-crowdsec-watch.timer")
    box.sh(
        "systemctl mask --runtime --now crowdsec-firewall-bouncer; nft delete table ip crowdsec || true"
    )
    assert box.gauge("koprogo_crowdsec_armed") == 0
    assert box.gauge("koprogo_crowdsec_nft_set_present") == 0
    _rearm(box)
    for engine in engines:
        box.wait_until_armed(engine)
