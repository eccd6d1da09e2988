"""Rules from an archive in the place of ET Open's: a good one is taken, none that would disarm the sensor."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.ask import wait_for
from tests.integration.attacks import raw_request
from tests.integration.boxes import docker
from tests.integration.play import ROOT, run_playbook
from tests.integration.target import send, serving
from tests.integration.victim import Victim, every_victim, on_each_victim

UPDATE = (ROOT / "roles/suricata/files/update_rules.py").read_text(encoding="utf-8")
RULE = 'alert tcp any any -> any any (msg:"ET {0}"; flow:established; content:"word{0}"; sid:{0}; rev:1;)'
FOLDER = Path("/run/et-open")


def update(box: Victim, rules: list[str]) -> str:
    """Put up an archive of rules, and say what the updater says to it."""
    archive = f"{FOLDER}/emerging.rules.tar.gz"
    box.sh(f"mkdir -p {FOLDER}/rules")
    docker(
        "exec", "-i", box.name, "sh", "-c", f"cat > {FOLDER}/rules/et.rules", stdin="\n".join(rules)
    )
    box.sh(f"tar -czf {archive} -C {FOLDER} rules")
    arguments = ("--once", "--file", f"{FOLDER}/taken.rules", "--url", f"file://{archive}")
    return docker("exec", "-i", box.name, "python3", "-", *arguments, stdin=UPDATE, check=False)


@on_each_victim
def test_an_update_never_leaves_much_fewer_rules_without_saying_so(box: Victim) -> None:
    box.sh(f"rm -rf {FOLDER}")
    many = [RULE.format(9300000 + number) for number in range(2000)]
    first = update(box, many)
    count = len(many)
    assert first == f"{count} rules, there were 0\n"
    fewer = count - 200
    assert update(box, many[200:]) == f"{fewer} rules, there were {count}\n"
    taken = box.sh(f"cat {FOLDER}/taken.rules")
    expected = f"brought {count - 1000} rules, there were {fewer}: the old ones stay"
    assert expected in update(box, many[1000:])
    broken = RULE.format(9309999).replace("alert tcp", "alert tpc")
    assert "the engine refuses the new rules, the old ones stay" in update(box, [*many, broken])
    assert box.sh(f"cat {FOLDER}/taken.rules") == taken


# As the role takes it: detect-box13 has it, detect-box12 has not.
BROUGHT = "/srv/emerging.rules.tar.gz"
EVE = "/var/log/suricata/eve.json"
TIMER = "koprogo-suricata-update.timer"


def loaded(box: Victim) -> tuple[int, int]:
    """How many rules the running engine has, and how many it could not load."""
    found = json.loads(box.sh("suricatasc -c ruleset-stats"))["message"]
    return sum(one["rules_loaded"] for one in found), sum(one["rules_failed"] for one in found)


def alerted(box: Victim, word: str, sid: int) -> None:
    """Ask for a path with a word until the rule of that number says so."""
    send(box, [("198.51.100.200", [raw_request("GET", f"/{word}")])])
    wait_for(
        lambda: f'"signature_id":{sid}' in box.sh(f"cat {EVE}"),
        seconds=12,
        what=f"an alert of rule {sid}",
    )


def configure(*arguments: str) -> None:
    """Suricata's configuration and units, as a run of the playbook makes them."""
    playbook = str(ROOT / "molecule/detection/protect.yml")
    outcome = run_playbook(playbook, "--tags", "suricata_configure,suricata_service", *arguments)
    assert outcome.rc == 0, outcome.text


def test_brought_rules_are_loaded_beside_ours_updated_and_left_out_again() -> None:
    without, having = every_victim()
    ours, failed = loaded(without)
    both, failed_too = loaded(having)
    assert (failed, failed_too) == (0, 0)
    assert both == ours + int(having.sh(f"tar -xzOf {BROUGHT} | grep -c sid:"))
    assert having.sh(f"systemctl is-active {TIMER}").strip() == "active"
    assert without.sh(f"systemctl is-active {TIMER}", check=False).strip() == "inactive"
    with serving():
        alerted(having, "broughtword", 9400001)
        assert '"signature_id":9400001' not in without.sh(f"cat {EVE}")
        # The next day's archive has one more.
        having.sh(
            f"cd /run && rm -rf next && mkdir next && tar -xzf {BROUGHT} -C next && "
            "sed -n 's/broughtword/secondword/; s/9400001/9400002/p' next/rules/*.rules >> "
            f"next/rules/emerging-test.rules && tar -czf {BROUGHT} -C next rules"
        )
        before = having.sh("systemctl show -P MainPID suricata")
        having.sh("systemctl start koprogo-suricata-update.service")
        wait_for(lambda: loaded(having) == (both + 1, 0), seconds=20, what="one rule more")
        assert having.sh("systemctl show -P MainPID suricata") == before
        alerted(having, "secondword", 9400002)
    # A check run fetches nothing, and judges the rest.
    configure("--check", "--diff", "-e", '{"suricata_et_open": true}')
    without.sh("test ! -e /var/lib/suricata/koprogo")
    try:
        configure("-e", '{"suricata_et_open": false}')
        assert loaded(having) == (ours, 0)
        assert having.sh(f"systemctl is-active {TIMER}", check=False).strip() == "inactive"
    finally:
        configure()
    assert loaded(having) == (both + 1, 0)
    assert having.sh(f"systemctl is-active {TIMER}").strip() == "active"
