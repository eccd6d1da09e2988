# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make lint``, ``make check`` and ``make test``: each part runs, each part's duration is shown."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from lab.demo import preparation
from lab.images import RELEASES
from lab.parts import Outcome, Part, run_parts, table
from lab.paths import ROOT
from lab.shell import LabError, answers, install_packages, output, stream
from lab.steps import Clock, Say, Step, run_steps
from lab.venv import ensure_venv, tool_environment

__all__ = ["check", "hosts", "lint", "modules", "test", "test_preparation"]

_PYTHON_FOLDERS = ("lab", "plugins", "tests", "molecule", "extensions")

# Not a scenario: it is `make demo` itself.
_DEMO = "demo"
# For each alert's time until it fires, and until it is resolved; for faults and deadlines. The longest
# first, and with it the two that load processors one after the other: together they made each other late.
_WAITING = ("remediation", "alerts", "alerts13")
_LONG = ("detection", _DEMO, "component", "default", "doors", "alertmanager", "archives")
# The most minutes that they took on the slowest machine seen, with a neighbour on each core.
_ROOM_WAITING, _ROOM_LONG, _ROOM = 45, 35, 14


def hosts(root: Path = ROOT, turn: int = 0) -> list[str]:
    """Return the names of what starts hosts: the demo and all Molecule scenarios.

    The long ones come first: they fill the lanes best. ``turn`` says which is the first of the short ones.
    """
    names = {_DEMO, *(path.parent.name for path in (root / "molecule").glob("*/molecule.yml"))}
    first = [name for name in (*_WAITING, *_LONG) if name in names]
    short = sorted(names.difference(first))
    turn %= max(len(short), 1)
    return [*first, *short[turn:], *short[:turn]]


def _report(outcomes: Sequence[Outcome], began: float) -> int:
    print(table(outcomes, elapsed=time.monotonic() - began))
    return 1 if any(one.verdict == "FAILED" for one in outcomes) else 0


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


def test_preparation() -> list[Step]:
    """Return the steps that all scenarios need, whoever runs them."""

    def names(_say: Say) -> None:
        # By it a scenario gives its hosts names that the control node resolves.
        if not answers(["dpkg-query", "--show", "libnss-wrapper"]):
            install_packages(["libnss-wrapper"], "A scenario needs a resolver of its own")

    return [*preparation(), Step("names", names)]


def _host_part(name: str, env: Mapping[str, str]) -> Part:
    """A scenario, or the demo."""
    waits = name in _WAITING
    minutes = _ROOM_WAITING if waits else _ROOM_LONG if name in _LONG else _ROOM
    part = Part(
        f"scenario {name}",
        ("molecule", "test", "--scenario-name", name),
        env=env,
        tries=2,
        waits=waits,
        room=60 * minutes,
    )
    if name == _DEMO:
        demo = ("python", "-m", "pytest", "tests/demo", "--durations=5")
        return replace(part, name=name, argv=demo)
    return part


def _turn() -> int:
    """Count the commits, so that on a machine too slow for all, each commit begins with other scenarios."""
    argv = ("git", "rev-list", "--count", "HEAD")
    return int(output(argv, cwd=ROOT)) if answers(argv, cwd=ROOT) else 0


def test(only: str = "", minutes: float = math.inf) -> int:
    """Run everything, or one scenario, or the demo; begin nothing that might not end within ``minutes``."""
    names = hosts(turn=0 if minutes == math.inf else _turn())
    if only and only not in names:
        raise LabError(f"S: expected one of {', '.join(sorted(names))}, found {only!r}.")
    # Molecule wraps what Ansible says at the terminal's width, and colours it in a log too.
    env = (
        {"COLUMNS": "140"} if only and sys.stdout.isatty() else {"COLUMNS": "140", "NO_COLOR": "1"}
    )
    parts = [_host_part(name, env) for name in ([only] if only else names)]
    board = Clock()
    steps = test_preparation()
    with ThreadPoolExecutor(1) as pool:
        checks: list[Future[list[Outcome]]] = []

        def begin_checks(_say: Say) -> None:
            # Who has deadlines comes first.
            nice = [
                replace(part, argv=("nice", *part.argv))
                for part in (*_static_parts(), *_unit_parts(), _sanity_part())
            ]
            checks.append(pool.submit(run_parts, nice, lanes=1, board=board))

        if not only:
            # Beside the archives' builds, which leave a core idle for minutes, and beside the scenarios
            # that wait. The unit tests take programs out of an image.
            needs = ("venv", *(release.name for release in RELEASES))
            steps.append(Step("checks", begin_checks, needs=needs))
        durations = run_steps(steps, board)
        seconds, slowest = max((took, name) for name, took in durations.items())
        outcomes = [Outcome(f"preparation: {slowest}", passed=True, seconds=seconds)]
        outcomes += run_parts(
            parts,
            board=board,
            after=lambda: [one.result() for one in checks],
            limit=60 * minutes,
        )
        outcomes += [outcome for one in checks for outcome in one.result()]
    return _report(outcomes, board.started)


def _ready() -> float:
    """See to the virtual environment; return when that began."""
    board = Clock()
    board.say("venv", ensure_venv(lambda text: board.say("venv", text)))
    return board.started
