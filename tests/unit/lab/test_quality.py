"""The runner of lint, tests and scenarios."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab import quality, sanity
from lab.parts import Outcome, Part, run_parts, table
from lab.shell import LabError
from lab.steps import Step


def test_every_scenario_is_found_and_the_large_ones_come_first(tmp_path: Path) -> None:
    for name in ("zebra", "default", "alerts", "alpha", "remediation", "detection"):
        (tmp_path / "molecule" / name).mkdir(parents=True)
        (tmp_path / "molecule" / name / "molecule.yml").touch()
    (tmp_path / "molecule" / "shared").mkdir()
    large = ["remediation", "alerts", "detection", "demo", "default"]
    assert quality.hosts(tmp_path) == [*large, "alpha", "zebra"]
    assert quality.hosts(tmp_path, turn=3) == [*large, "zebra", "alpha"]


def test_what_might_not_end_in_time_is_not_begun_and_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The second would take too long; the third still fits, and what fails late is not tried again."""
    flag = tmp_path / "seen"
    late = ("sh", "-c", f"sleep 0.6; test -e {flag} || {{ touch {flag}; false; }}")
    parts = [
        Part("first", ("true",)),
        Part("second", ("true",), room=60),
        Part("third", late, tries=2, room=0.5),
    ]
    outcomes = run_parts(parts, lanes=1, logs=tmp_path, limit=1)
    assert [one.verdict for one in outcomes] == ["passed", "not begun", "FAILED"]
    assert "not begun, as they might not end within 0:01: second" in capsys.readouterr().out
    shown = table(outcomes, slowest=1).splitlines()
    assert shown[-1] == "1 passed, 1 failed, 1 not begun for lack of time"
    assert any(line.split() == ["second", "0:00", "not", "begun"] for line in shown)


def test_the_last_line_counts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    parts = [Part("good", ("true",)), Part("bad", ("false",)), Part("later", ("true",))]
    outcomes = run_parts(parts, logs=tmp_path)
    assert [one.passed for one in outcomes] == [True, False, True]
    assert table(outcomes).splitlines()[-1] == "2 passed, 1 failed"
    assert "FAILED (1, 0:00)" in capsys.readouterr().out


def test_a_failure_is_shown_however_quick_it_was() -> None:
    outcomes = [Outcome(f"slow{number}", passed=True, seconds=100) for number in range(20)]
    text = table([*outcomes, Outcome("quick", passed=False, seconds=0.1)], slowest=3)
    assert text.count("slow") == 4  # three rows and the heading
    assert "quick" in text


def test_parts_run_side_by_side_and_only_a_failed_ones_words_are_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Each of the two waits for the other's file: one after the other would never end."""
    meet = (
        "echo words of {0}; sleep 0.3; touch {0};"
        "for n in $(seq 100); do test -e {1} && exit {2}; sleep 0.1; done; exit 9"
    )
    parts = [
        Part("left/part", ("sh", "-c", meet.format("left", "right", 0)), cwd=tmp_path),
        Part("right", ("sh", "-c", meet.format("right", "left", 1)), cwd=tmp_path),
    ]
    outcomes = run_parts(parts, lanes=2, logs=tmp_path / "logs", heartbeat=0.05)
    assert [(one.name, one.passed) for one in outcomes] == [("left/part", True), ("right", False)]
    said = capsys.readouterr().out
    assert re.search(
        r"still at it: left/part, right \(load \d+\.\d, idle \d+%, stolen \d+%\)", said
    )
    assert "\nwords of right" in said
    assert "\nwords of left" not in said
    assert (tmp_path / "logs" / "left-part.log").read_text() == "words of left\n"


def test_a_part_that_waits_has_a_lane_beside_the_others(tmp_path: Path) -> None:
    """Each of the two waits for the other's file, and there is one lane."""
    meet = "touch {0}; for n in $(seq 100); do test -e {1} && exit 0; sleep 0.1; done; exit 9"
    parts = [
        Part("works", ("sh", "-c", meet.format("left", "right")), cwd=tmp_path),
        Part("waits", ("sh", "-c", meet.format("right", "left")), cwd=tmp_path, waits=True),
    ]
    assert all(one.passed for one in run_parts(parts, lanes=1, logs=tmp_path / "logs"))


def test_a_lane_whose_waiting_is_over_helps_the_others(tmp_path: Path) -> None:
    """Two that work wait for each other's file, and one lane of its own they have."""
    meet = "touch {0}; for n in $(seq 100); do test -e {1} && exit 0; sleep 0.1; done; exit 9"
    parts = [
        Part("left", ("sh", "-c", meet.format("left", "right")), cwd=tmp_path),
        Part("right", ("sh", "-c", meet.format("right", "left")), cwd=tmp_path),
        Part("waits", ("true",), cwd=tmp_path, waits=True),
    ]
    outcomes = run_parts(parts, lanes=1, logs=tmp_path / "logs")
    assert [(one.name, one.passed) for one in outcomes] == [
        ("left", True),
        ("right", True),
        ("waits", True),
    ]


def test_an_unknown_scenario_is_named() -> None:
    with pytest.raises(LabError, match=r"S: expected one of alertmanager, .*demo, "):
        quality.test("no_such_scenario")


def test_checks_run_beside_the_scenarios_and_count_like_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def there(name: str) -> str:
        return f"until test -e {tmp_path}/{name}; do sleep 0.05; done"

    def shell(text: str) -> tuple[str, ...]:
        return ("timeout", "20", "sh", "-c", text)

    lint = shell(f"{there('host')}; touch {tmp_path}/lint")
    one = Part("part one", shell(f"touch {tmp_path}/host; {there('lint')}"), waits=True)
    demo = Part("part demo", shell(f"test -e {tmp_path}/lint"))

    prepared = [Step(name, lambda _say: None) for name in ("venv", "debian12", "debian13")]
    monkeypatch.setattr(quality, "test_preparation", lambda: prepared)
    # Under names of their own, as a real run may keep its logs in the same folder. The first of them and the
    # scenario that waits need each other: one after the other, they would wait for ever. The demo comes after
    # them, for it has no lane of its own.
    monkeypatch.setattr(quality, "_static_parts", lambda: [Part("check 1", lint)])
    monkeypatch.setattr(quality, "_unit_parts", lambda: [Part("check 2", ("false",))])
    monkeypatch.setattr(quality, "_sanity_part", lambda: Part("check 3", ("true",)))
    monkeypatch.setattr(quality, "hosts", lambda **_: ["one", "demo"])
    monkeypatch.setattr(quality, "_host_part", lambda name, env: one if name == "one" else demo)
    assert quality.test() == 1
    last = capsys.readouterr().out.splitlines()[-1]
    # The preparation is one of them.
    assert last == "5 passed, 1 failed"


def test_the_pip_that_ansible_test_wants() -> None:
    assert sanity.pip_version("x(\n        pip='24.2',\n)") == "24.2"
    with pytest.raises(LabError, match="must follow"):
        sanity.pip_version("nothing")


def test_a_second_try_is_told(tmp_path: Path) -> None:
    flag = tmp_path / "seen"
    once = ("sh", "-c", f"test -e {flag} || {{ touch {flag}; false; }}")
    never = ("false",)
    outcomes = run_parts(
        [Part("once", once, tries=2), Part("never", never, tries=2)], logs=tmp_path
    )
    assert [(one.name, one.passed) for one in outcomes] == [
        ("once (try 2)", True),
        ("never (try 2)", False),
    ]
