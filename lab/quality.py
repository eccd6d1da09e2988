# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make lint``, ``make check`` and ``make test``: each part runs, each part's duration is shown."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.demo import preparation
from lab.images import RELEASES, image_of
from lab.paths import ROOT
from lab.shell import LabError, stream
from lab.steps import Clock, clock, run_steps
from lab.venv import ensure_venv, tool_environment

__all__ = ["Outcome", "Part", "check", "docs", "lint", "run_parts", "scenarios", "table", "test"]

_PYTHON_FOLDERS = ("lab", "plugins", "tests", "molecule", "extensions")


@dataclass(frozen=True)
class Part:
    """One command of a run; it passes when it returns 0."""

    name: str
    argv: tuple[str, ...]
    cwd: Path = ROOT
    env: Mapping[str, str] = field(default_factory=dict)
    # A scenario kills hosts and daemons on a machine that may be busy. A second try is allowed, and told.
    tries: int = 1


@dataclass(frozen=True)
class Outcome:
    """How a part ended."""

    name: str
    passed: bool
    seconds: float


def scenarios(root: Path = ROOT) -> list[str]:
    """Return the names of all Molecule scenarios, the large ones last."""
    names = [path.parent.name for path in (root / "molecule").glob("*/molecule.yml")]
    return sorted(names, key=lambda name: (name == "default", name == "single", name))


def table(outcomes: Sequence[Outcome], slowest: int = 15) -> str:
    """Return the slowest parts and all failures, and as the last line the count."""
    shown = sorted(outcomes, key=lambda one: one.seconds, reverse=True)
    shown = shown[:slowest] + [one for one in shown[slowest:] if not one.passed]
    width = max((len(one.name) for one in shown), default=0)
    lines = ["", "The slowest parts:" if len(outcomes) > len(shown) else "Parts:"]
    lines += [
        f"  {one.name:<{width}}  {clock(one.seconds):>6}  {'passed' if one.passed else 'FAILED'}"
        for one in shown
    ]
    passed = sum(one.passed for one in outcomes)
    total = sum(one.seconds for one in outcomes)
    lines += [
        "",
        f"All of it took {clock(total)}.",
        f"{passed} passed, {len(outcomes) - passed} failed",
    ]
    return "\n".join(lines)


def run_parts(parts: Sequence[Part]) -> list[Outcome]:
    """Run all parts one after the other; a failed one does not stop the rest."""
    outcomes = []
    for number, part in enumerate(parts, start=1):
        print(f"\n== {number}/{len(parts)} {part.name}: {' '.join(part.argv)}", flush=True)
        began = time.monotonic()
        name = part.name
        for attempt in range(1, part.tries + 1):
            code = stream(part.argv, cwd=part.cwd, env={**tool_environment(), **part.env})
            print(f"== {name}: {'passed' if code == 0 else f'FAILED ({code})'}", flush=True)
            if code == 0:
                break
            if attempt < part.tries:
                name = f"{part.name} (try {attempt + 1})"
        outcomes.append(Outcome(name, code == 0, time.monotonic() - began))
    return outcomes


def _report(outcomes: Sequence[Outcome]) -> int:
    print(table(outcomes))
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
    _ready()
    return _report(run_parts([*_static_parts(), _sanity_part()]))


def _unit_parts() -> list[Part]:
    parts = [Part("unit tests", ("python", "-m", "pytest", "tests/unit", "--durations=5"))]
    if any((ROOT / "tests" / "rules").glob("*")):
        parts.append(Part("rule tests", ("python", "-m", "pytest", "tests/rules")))
    return parts


def check() -> int:
    """Run the short loop: no containers, no network."""
    _ready()
    return _report(run_parts([*_static_parts(), *_unit_parts()]))


def docs() -> int:
    """Write the pages that are made from the sources."""
    _ready()
    pages = {"docs/roles.md": "lab.role_reference", "docs/alerts.md": "lab.alert_reference"}
    return _report(
        run_parts([Part(page, ("python", "-m", module)) for page, module in pages.items()])
    )


def test(only: str = "") -> int:
    """Run everything, or one scenario."""
    names = scenarios()
    if only and only not in names:
        raise LabError(f"S: expected one of {', '.join(names)}, found {only!r}.")
    board = Clock()
    began = time.monotonic()
    run_steps(preparation(), board)
    outcomes = [Outcome("preparation", passed=True, seconds=time.monotonic() - began)]
    if not only:
        outcomes += run_parts([*_static_parts(), _sanity_part(), *_unit_parts()])
    # Molecule wraps what Ansible says at the terminal's width, and colours it in a log too.
    env = {"COLUMNS": "140"} if sys.stdout.isatty() else {"COLUMNS": "140", "NO_COLOR": "1"}
    env |= {f"KOPROGO_IMAGE_{one.name.upper()}": image_of(one.name) for one in RELEASES}
    wanted = [only] if only else names
    argv = ("molecule", "test", "--scenario-name")
    outcomes += run_parts(
        [Part(f"scenario {name}", (*argv, name), env=env, tries=2) for name in wanted]
    )
    return _report(outcomes)


def _ready() -> None:
    board = Clock()
    board.say("venv", ensure_venv(lambda text: board.say("venv", text)))
