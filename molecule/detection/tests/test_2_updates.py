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
    box.sh(f"rm -rf {FOLDER}")
    many = [RULE.format(9300000 + number) for number in range(2000)]
    first = update(box, many)
    # The updater adds those of the engine's own package.
    count = int(first.split()[0])
    assert count >= len(many)
    assert first == f"{count} rules, there were 0\n"
    fewer = count - 200
    assert update(box, many[200:]) == f"{fewer} rules, there were {count}\n"
    taken = box.sh(f"cat {FOLDER}/taken.rules")
    expected = f"brought {count - 1000} rules, there were {fewer}: the old ones stay"
    assert expected in update(box, many[1000:])
    broken = RULE.format(9309999).replace("alert tcp", "alert tpc")
    assert "the engine refuses the new rules, the old ones stay" in update(box, [*many, broken])
    assert box.sh(f"cat {FOLDER}/taken.rules") == taken
