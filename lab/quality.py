# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make lint``, ``make check`` and ``make test``: each part runs, each part's duration is shown."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lab.demo import preparation
from lab.images import RELEASES
from lab.parts import Outcome, Part, run_parts, table
from lab.paths import ROOT
from lab.shell import LabError, stream
from lab.steps import Clock, Say, Step, run_steps
from lab.venv import ensure_venv, tool_environment

__all__ = ["check", "lint", "modules", "scenarios", "test"]

_PYTHON_FOLDERS = ("lab", "plugins", "tests", "molecule", "extensions")

_LONG = ("detection", "component", "default", "doors", "alertmanager", "archives")
# For each alert's time until it fires, and until it is resolved; for faults and deadlines.
_WAITING = ("alerts", "alerts13", "remediation")


def scenarios(root: Path = ROOT) -> list[str]:
    """Return the names of all Molecule scenarios, the long ones first: they fill the lanes best."""
    names = [path.parent.name for path in (root / "molecule").glob("*/molecule.yml")]
    return sorted(names, key=lambda name: (name not in _LONG, name))


def _report(outcomes: Sequence[Outcome], began: float) -> int:
    print(table(outcomes, elapsed=time.monotonic() - began))
    return 0 if all(one.passed for one in outcomes) else 1


def _static_parts() -> list[Part]:
    folders = [name for name in _PYTHON_FOLDERS if any((ROOT / name).rglob("*.py"))]
    return [
        Part("ruff check", ("ruff", "check", ".")),
        Part("ruff format", ("ruff", "format", "--check", ".")),
        Part("mypy", ("mypy", *folders)),
        Part("yamllint", ("yamllint", "--strict", ".")),
        Part("ansible-lint", ("ansible-lint", "--offline")),
        Part("changelog", ("antsibull-changelog", "lint")),
    ]


def _sanity_part() -> Part:
    return Part("ansible-test sanity", (sys.executable, "-m", "lab", "sanity"))


def lint() -> int:
    """Check style, types, YAML, roles, changelog, and the built collection."""
    began = _ready()
    return _report(run_parts([*_static_parts(), _sanity_part()]), began)


def _unit_parts() -> list[Part]:
    parts = [Part("unit tests", ("python", "-m", "pytest", "tests/unit", "--durations=5"))]
    if any((ROOT / "tests" / "rules").glob("*")):
        parts.append(Part("rule tests", ("python", "-m", "pytest", "tests/rules")))
    return parts


def check() -> int:
    """Run the short loop: no containers, no network."""
    began = _ready()
    return _report(run_parts([*_static_parts(), *_unit_parts()]), began)


def modules(*names: str) -> int:
    """Run modules of the lab that need the virtual environment; return the first exit code that isn't 0."""
    _ready()
    codes = [stream(("python", "-m", name), cwd=ROOT, env=tool_environment()) for name in names]
    return next((code for code in codes if code), 0)


def test(only: str = "") -> int:
    """Run everything, or one scenario."""
    names = scenarios()
    if only and only not in names:
        raise LabError(f"S: expected one of {', '.join(names)}, found {only!r}.")
    board = Clock()
    began = time.monotonic()
    outcomes: list[Outcome] = []
    steps = preparation()
    if not only:
        # Beside the archives' builds, which leave a core idle for minutes. The unit tests take
        # programs out of an image.
        def checks(_say: Say) -> None:
            outcomes.extend(run_parts([*_static_parts(), *_unit_parts(), _sanity_part()]))

        needs = ("venv", *(release.name for release in RELEASES))
        steps.append(Step("checks", checks, needs=needs))
    durations = run_steps(steps, board)
    seconds, slowest = max((took, name) for name, took in durations.items() if name != "checks")
    outcomes.append(Outcome(f"preparation: {slowest}", passed=True, seconds=seconds))
    # Molecule wraps what Ansible says at the terminal's width, and colours it in a log too.
    env = (
        {"COLUMNS": "140"} if only and sys.stdout.isatty() else {"COLUMNS": "140", "NO_COLOR": "1"}
    )
    parts = [
        Part(
            f"scenario {name}",
            ("molecule", "test", "--scenario-name", name),
            env=env,
            tries=2,
            waits=name in _WAITING,
        )
        for name in ([only] if only else names)
    ]
    outcomes += run_parts(parts)
    return _report(outcomes, began)


def _ready() -> float:
    """See to the virtual environment; return when that began."""
    board = Clock()
    board.say("venv", ensure_venv(lambda text: board.say("venv", text)))
    return board.started
