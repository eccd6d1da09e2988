# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's commands."""

from __future__ import annotations

import argparse
import math
import shutil
import sys
from collections.abc import Callable, Sequence

from lab import quality
from lab.artifacts import ARTIFACTS, INDEX, ensure_artifact, write_index
from lab.bench import bench, bench_alerts
from lab.bench_demo import bench_demo
from lab.bench_disk import bench_disk
from lab.bench_latency import bench_latency
from lab.bench_protection import bench_protection
from lab.bench_remedies import bench_remedies
from lab.demo import bring_down, bring_up
from lab.engine import ensure_engine
from lab.hosts import start_hosts
from lab.images import RELEASES, ensure_image
from lab.paths import ROOT
from lab.sanity import sanity
from lab.shell import LabError
from lab.steps import Clock, Say, run_steps
from lab.venv import ensure_venv

__all__ = ["main"]


def _say(text: str) -> None:
    print(text, flush=True)


def _simple(work: Callable[[Say], str]) -> int:
    print(work(_say))
    return 0


def _images(_options: argparse.Namespace) -> int:
    ensure_engine(_say)
    for release in RELEASES:
        print(ensure_image(release, _say))
    return 0


def _artifacts(_options: argparse.Namespace) -> int:
    for artifact in ARTIFACTS:
        ensure_artifact(artifact, _say)
    write_index()
    print(INDEX.read_text(encoding="utf-8"), end="")
    return 0


def _up(_options: argparse.Namespace) -> int:
    bring_up()
    return 0


def _down(_options: argparse.Namespace) -> int:
    bring_down()
    return 0


def _parts(*parts: Callable[[], int | None]) -> Callable[[argparse.Namespace], int]:
    def run(_options: argparse.Namespace) -> int:
        # All of them, whatever one says.
        return max([part() or 0 for part in parts])

    return run


def _prepare(_options: argparse.Namespace) -> int:
    run_steps(quality.test_preparation(), Clock())
    return 0


def _clean(_options: argparse.Namespace) -> int:
    """Remove what was made in this checkout; the user's cache and the engine's images stay."""
    for name in (".venv", ".cache", ".ansible", ".mypy_cache", ".pytest_cache", ".ruff_cache"):
        shutil.rmtree(ROOT / name, ignore_errors=True)
    return 0


_COMMANDS: dict[str, tuple[str, Callable[[argparse.Namespace], int]]] = {
    "up": ("start, provision and verify the demo", _up),
    "down": ("remove the demo", _down),
    "prepare": ("make all that the scenarios need", _prepare),
    "bench": (
        "measure everything and write docs/benchmarks.md",
        _parts(
            *(bench, bench_alerts, bench_disk, bench_latency, bench_protection, bench_remedies),
            bench_demo,
        ),
    ),
    "bench-alerts": (
        "measure rules, dashboards and notifications, and write their part of the page",
        _parts(bench_alerts),
    ),
    "bench-demo": ("measure the demo from nothing, a quarter of an hour", _parts(bench_demo)),
    "bench-disk": ("measure the deletion of a million files", _parts(bench_disk)),
    "bench-latency": ("measure the reading of a log of 1 GB", _parts(bench_latency)),
    "bench-protection": (
        "measure how soon attackers are kept out, and what that costs",
        _parts(bench_protection),
    ),
    "bench-remedies": ("measure the remediations of a live stack", _parts(bench_remedies)),
    "engine": ("find or start the container engine", lambda _: _simple(ensure_engine)),
    "venv": ("make .venv", lambda _: _simple(ensure_venv)),
    "images": ("make the images of the test hosts", _images),
    "artifacts": ("build the archives of Loki and the Collector", _artifacts),
    "hosts": ("start the demo's hosts, and nothing on them", lambda _: _simple(start_hosts)),
    "lint": ("check style, types and the built collection", lambda _: quality.lint()),
    "sanity": ("run ansible-test sanity on the built collection", lambda _: sanity()),
    "check": ("lint without ansible-test, and unit tests", lambda _: quality.check()),
    "test": (
        "lint, unit tests, all scenarios and the demo",
        lambda options: quality.test(options.only, options.minutes),
    ),
    "docs": (
        "write the pages that are made from the sources",
        lambda _: quality.modules("lab.role_reference", "lab.alert_reference"),
    ),
    "dashboards": (
        "write the dashboards' JSON from their code",
        lambda _: quality.modules("lab.dashboards"),
    ),
    "panels": (
        "ask the demo every query of every dashboard",
        lambda _: quality.modules("lab.panel_check"),
    ),
    "preview": (
        "draw every dashboard with the demo's data, into .cache/preview",
        lambda _: quality.modules("lab.preview"),
    ),
    "clean": ("remove what was made in this checkout", _clean),
}


def main(arguments: Sequence[str]) -> int:
    """Run one command; a LabError becomes one message and exit code 1."""
    parser = argparse.ArgumentParser(prog="python3 -m lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (help_text, _) in _COMMANDS.items():
        command = commands.add_parser(name, help=help_text)
        if name == "test":
            command.add_argument("only", nargs="?", default="", help="one scenario only, or demo")
            command.add_argument(
                "--minutes",
                type=float,
                default=math.inf,
                help="begin no scenario that might not end within so many minutes, and say which",
            )
    options = parser.parse_args(arguments)
    try:
        return _COMMANDS[options.command][1](options)
    except LabError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The next run goes on from here.", file=sys.stderr)
        return 130
