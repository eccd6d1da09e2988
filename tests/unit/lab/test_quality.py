"""The runner of lint, tests and scenarios."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import quality, sanity
from lab.quality import Outcome, Part
from lab.shell import LabError


def test_every_scenario_is_found_and_the_large_ones_come_last(tmp_path: Path) -> None:
    for name in ("default", "single", "zebra", "alpha"):
        (tmp_path / "molecule" / name).mkdir(parents=True)
        (tmp_path / "molecule" / name / "molecule.yml").touch()
    (tmp_path / "molecule" / "shared").mkdir()
    assert quality.scenarios(tmp_path) == ["alpha", "zebra", "single", "default"]


def test_the_last_line_counts(capsys: pytest.CaptureFixture[str]) -> None:
    parts = [Part("good", ("true",)), Part("bad", ("false",)), Part("later", ("true",))]
    outcomes = quality.run_parts(parts)
    assert [one.passed for one in outcomes] == [True, False, True]
    assert quality.table(outcomes).splitlines()[-1] == "2 passed, 1 failed"
    assert "bad: FAILED (1)" in capsys.readouterr().out


def test_a_failure_is_shown_however_quick_it_was() -> None:
    outcomes = [Outcome(f"slow{number}", passed=True, seconds=100) for number in range(20)]
    text = quality.table([*outcomes, Outcome("quick", passed=False, seconds=0.1)], slowest=3)
    assert text.count("slow") == 4  # three rows and the heading
    assert "quick" in text


def test_an_unknown_scenario_is_named() -> None:
    with pytest.raises(LabError, match="S: expected one of"):
        quality.test("no_such_scenario")


def test_the_pip_that_ansible_test_wants() -> None:
    assert sanity.pip_version("x(\n        pip='24.2',\n)") == "24.2"
    with pytest.raises(LabError, match="must follow"):
        sanity.pip_version("nothing")


def test_a_second_try_is_told(tmp_path: Path) -> None:
    flag = tmp_path / "seen"
    once = ("sh", "-c", f"test -e {flag} || {{ touch {flag}; false; }}")
    never = ("false",)
    outcomes = quality.run_parts([Part("once", once, tries=2), Part("never", never, tries=2)])
    assert [(one.name, one.passed) for one in outcomes] == [
        ("once (try 2)", True),
        ("never (try 2)", False),
    ]
