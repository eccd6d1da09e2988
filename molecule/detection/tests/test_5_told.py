"""What is told: every line in Loki, and the gauges of who protects nothing."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.ask import get, logql, wait_for
from tests.integration.attacks import raw_request
from tests.integration.target import send, serving
from tests.integration.victim import STORE, Victim, every_victim, on_each_victim

LOKI = "http://127.0.0.1:3100"
EVE = "/var/log/suricata/eve.json"
# One after the other for at least five seconds.
ATTACKS = 1000
PAUSE = 0.005
ROTATE = "logrotate --force --state /run/rotated /etc/koprogo/suricata/logrotate.conf"


# The role's own, and where it has ET Open, those too.
RULES = "$(readlink -f /etc/koprogo/suricata/rules/koprogo.rules) /var/lib/suricata/koprogo/et-open.rules"


def test_attacks_are_lines_in_loki_while_the_log_is_rotated() -> None:
    marker = uuid.uuid4().hex
    boxes = every_victim()

    def attack(box: Victim) -> None:
        def seen() -> int:
            # grep fails where it counts none.
            return int(box.sh(f"grep -c {marker} {EVE}", check=False))

        path = "/{}/{}?id=1%20UNION%20SELECT%20a"
        requests = [raw_request("GET", path.format(marker, number)) for number in range(ATTACKS)]
        with ThreadPoolExecutor() as pool:
            load = pool.submit(send, box, [("198.51.100.200", requests)], pause=PAUSE)
            # Twice in the midst of it: the collector reads on in the file that got another name.
            for _time in range(2):
                wait_for(lambda: seen() > ATTACKS // 5, seconds=20, what="alerts", every=0.2)
                box.sh(ROTATE)
            assert not load.done()
            load.result()
        wait_for(seen, seconds=10, what="alerts in the third file", every=0.2)

    def wrong() -> dict[str, tuple[int, int]]:
        """Of each host how many attacks are missing, and how many lines are there too often."""
        query = '{job="suricata",host="%s"} |= "%s" | json sid="alert.signature_id" | sid="9100001"'
        result = {}
        for box in boxes:
            lines = logql(STORE, query % (box.name, marker), since=600)
            numbers = Counter(
                int(json.loads(text)["http"]["url"].split("?")[0].rpartition("/")[2])
                for _time, text in lines
            )
            if set(numbers) != set(range(ATTACKS)) or numbers.total() != ATTACKS:
                result[box.name] = ATTACKS - len(numbers), numbers.total() - len(numbers)
        return result

    with serving():
        on_each_victim(attack)()
    with contextlib.suppress(AssertionError):
        wait_for(lambda: not wrong(), seconds=30, what="each line once")
    assert not wrong()
    # On the allow-list: CrowdSec, which read the same alerts, holds nothing against it.
    assert not any("198.51.100.200" in box.decisions() for box in boxes)

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
    box.sh("systemctl start crowdsec-firewall-bouncer")


@pytest.mark.usefixtures("_armed_again")
@on_each_victim
def test_each_of_the_three_says_that_it_protects_nothing(box: Victim) -> None:
    engines = ("suricata", "fail2ban", "crowdsec")
    box.wait_until_armed(*engines)
    # No rules.
    box.sh(
        f"for rules in {RULES}; do ! test -e $rules || {{ cp -p $rules $rules.kept; echo > $rules; }}; done; "
        "suricatasc -c reload-rules"
    )
    # A jail without its log.
    box.sh("mv /var/log/koprogo/api.log /run/api.log")
    # No table, and a bouncer that can't be started.
    box.sh("systemctl mask --runtime --now crowdsec-firewall-bouncer; nft delete table ip crowdsec")
    box.wait_for_gauges(0, *(f"koprogo_{engine}_armed" for engine in engines))
    assert box.gauge("koprogo_suricata_rules_loaded") == 0
    assert box.gauge("koprogo_crowdsec_nft_set_present") == 0
    _rearm(box)
    box.wait_until_armed(*engines)
