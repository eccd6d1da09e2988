"""Items of CrowdSec's hub: whose they are, and that the engines take up what an interrupted run changed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.role_lab import loaded, tasks, templated

SURICATA = "/etc/crowdsec/collections/suricata.yaml"
BRUTE_FORCE = "/etc/crowdsec/scenarios/pgsql-bf.yaml"
PATTERNS = "/var/lib/crowdsec/data/http_path_traversal.txt"
CALM = {
    f"__crowdsec_{name}": {"changed": False}
    for name in ("installed", "bouncer_installed", "gone", "hub", "own", "joined", "bouncer")
}


def of_role(expression: Any, *foreign: str, **values: Any) -> Any:
    asked = {"stdout_lines": [f"foreign {one}" for one in foreign]}
    return templated("crowdsec", expression, **{"__crowdsec_hub_asked": asked} | values)


def enabled(*foreign: str) -> dict[str, str]:
    """Links that the role makes, with what they lead to."""
    loop = tasks("crowdsec")["Enable items of the hub"]["loop"]
    return {one["key"]: one["value"] for one in of_role(loop, *foreign)}


def test_a_host_without_items_gets_all_of_them() -> None:
    found = enabled()
    hub = "/var/lib/crowdsec/hub"
    assert found[SURICATA] == f"{hub}/collections/crowdsecurity/suricata.yaml"
    assert (
        found["/etc/crowdsec/parsers/s01-parse/suricata-logs.yaml"]
        == f"{hub}/parsers/s01-parse/crowdsecurity/suricata-logs.yaml"
    )
    assert found[PATTERNS] == "path_traversal.txt"
    assert len(found) == 5


def test_what_somebody_else_enabled_is_neither_touched_nor_noted_as_ours() -> None:
    files = loaded("crowdsec", "vars/main.yml")["__crowdsec_files"]
    (note,) = (one for one in files if one["path"] == "hub")
    noted = of_role(note["content"], BRUTE_FORCE).splitlines()
    assert noted == list(enabled(BRUTE_FORCE))
    assert BRUTE_FORCE not in noted
    assert SURICATA in noted
    # Noted before they are made: killed in between, the next run knows them.
    names = list(tasks("crowdsec"))
    assert names.index("Configure CrowdSec") < names.index("Enable items of the hub")


def ask_hub(note: Path, *items: Path) -> list[str]:
    """What the role hears of the items, and of those in its note that are none of them."""
    script = loaded("crowdsec", "vars/main.yml")["__crowdsec_ask_hub"]
    command = ["sh", "-c", script, "sh", *map(str, (note, *items))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_ours_are_known_by_the_note(tmp_path: Path) -> None:
    note, made, strange, none = (tmp_path / name for name in ("note", "made", "a b", "none"))

    def asked(*items: Path) -> list[str]:
        return ask_hub(note, *(items or (made, strange, none)))

    assert asked() == []
    strange.touch()
    # As on a bare host, whose note is written before the links are made.
    note.write_text(f"{made}\n{none}\n")
    made.touch()
    assert asked() == [f"foreign {strange}"]
    assert asked(made) == [f"dropped {none}"]
    assert asked(strange) == [f"foreign {strange}", f"dropped {made}", f"dropped {none}"]
    note.write_text("\n")
    assert asked(none) == []
    note.unlink()
    assert asked() == [f"foreign {made}", f"foreign {strange}"]


def test_an_item_that_is_wanted_no_more_goes() -> None:
    loop = tasks("crowdsec")["Let items of the hub go that are wanted no more"]["loop"]
    asked = {"stdout_lines": [f"foreign {SURICATA}", f"dropped {BRUTE_FORCE}"]}
    assert of_role(loop, __crowdsec_hub_asked=asked) == [BRUTE_FORCE]


@pytest.mark.parametrize(
    ("noted", "removed"), [([SURICATA], {SURICATA}), ([""], set()), ([], set())]
)
def test_what_is_removed_is_ours(tmp_path: Path, noted: list[str], removed: set[str]) -> None:
    # There is no note where the role has gone, or never was.
    if noted:
        (tmp_path / "hub").write_text("\n".join(noted) + "\n")
    loop = tasks("crowdsec", "absent.yml")["Remove items, metrics and settings"]["loop"]
    asked = {"stdout_lines": ask_hub(tmp_path / "hub")}
    found = of_role(loop, __crowdsec_hub_asked=asked)
    own = {one for one in found if "koprogo" in one}
    assert "/etc/crowdsec/parsers/s01-parse/koprogo-api.yaml" in own
    assert set(found) - own == removed


def due(**values: Any) -> list[bool]:
    """Whether the engine and its bouncer are restarted."""
    loop = tasks("crowdsec")["Restart what was completed"]["loop"]
    return [one["due"] for one in of_role(loop, **CALM | values)]


@pytest.mark.parametrize(
    ("unfinished", "values", "expected"),
    [
        (False, {}, [False, False]),
        (False, {"__crowdsec_own": {"changed": True}}, [True, False]),
        (False, {"__crowdsec_gone": {"changed": True}}, [True, False]),
        (False, {"__crowdsec_bouncer": {"changed": True}}, [False, True]),
        # Nothing is changed any more, and neither has read what the interrupted run wrote.
        (True, {}, [True, True]),
        (True, {"__crowdsec_installed": {"changed": True}}, [False, True]),
    ],
)
def test_what_an_interrupted_run_changed_is_taken_up(
    unfinished: bool, values: dict[str, Any], expected: list[bool]
) -> None:
    assert due(__crowdsec_unfinished={"stat": {"exists": unfinished}}, **values) == expected


def test_a_run_is_marked_as_unfinished_from_its_first_change_to_the_restart() -> None:
    found = tasks("crowdsec")
    marked = [
        name
        for name, task in found.items()
        if "__crowdsec_mark" in str(task.get("ansible.builtin.file", ""))
    ]
    assert [found[name]["ansible.builtin.file"]["state"] for name in marked] == [
        "directory",
        "absent",
    ]
    first, last = marked
    names = list(found)
    assert names.index("Ask whether an earlier run ended in the middle") == names.index(first) - 1
    between = names[names.index(first) : names.index(last)]
    assert {
        "Enable items of the hub",
        "Write items of our own",
        "Point the bouncer to the local API, and let it ask every second",
        "Join the community",
        "Restart what was completed",
    } <= set(between)
