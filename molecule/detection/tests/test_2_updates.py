"""Rules from an archive in the place of ET Open's: a good one is taken, none that would disarm the sensor."""

from __future__ import annotations

from pathlib import Path

from tests.integration.boxes import docker
from tests.integration.play import ROOT
from tests.integration.victim import Victim, on_each_victim

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
    ten = [RULE.format(9300000 + number) for number in range(10)]
    assert update(box, ten) == "10 rules, there were 0\n"
    assert update(box, ten[:8]) == "8 rules, there were 10\n"
    taken = box.sh(f"cat {FOLDER}/taken.rules")
    assert taken.count("alert tcp") == 8
    assert "brought 6 rules, there were 8: the old ones stay" in update(box, ten[:6])
    assert "the engine refuses the new rules, the old ones stay" in update(
        box, [*ten, ten[0].replace("alert tcp", "alert tpc").replace("9300000", "9300099")]
    )
    assert "the old ones stay" in update(box, ["# none at all"])
    assert box.sh(f"cat {FOLDER}/taken.rules") == taken
    box.sh(f"rm -r {FOLDER}")
