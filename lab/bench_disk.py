# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python3 -m lab bench-disk``: disk_reclaim beside ``find -delete`` on the same trees, in turn.

Figures are of this machine's disk (KOPROGO_BENCH_FOLDER, /var/tmp without it). Nothing passes or fails.
Files are empty: what a file holds costs both the same to free and would only bring them closer together.
Before each turn the caches are dropped, as nobody has looked at old logs for weeks; KOPROGO_BENCH_CACHE=warm
leaves them as the making of the tree did.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lab.bench_page import put, table
from lab.paths import ROOT

__all__ = ["Race", "bench_disk", "summary"]

_FILES = int(os.environ.get("KOPROGO_BENCH_FILES", "1000000"))
_PAIRS = int(os.environ.get("KOPROGO_BENCH_PAIRS", "5"))
_DROP = Path("/proc/sys/vm/drop_caches")
_PER_FOLDER = 1000
_AGE = 40 * 86_400

# A process of its own: its memory is that of the work alone. With C(survey) it plans for a target
# first, as the module does; without, it deletes all, as find does.
_OURS = """
import json, os, resource, sys, time
from ansible_collections.koprogo.observability.plugins.module_utils import _disk_files
from ansible_collections.koprogo.observability.plugins.module_utils._disk_file_policy import FilePolicy
from ansible_collections.koprogo.observability.plugins.module_utils._disk_open import open_files
from ansible_collections.koprogo.observability.plugins.module_utils._disk_places import Places
from ansible_collections.koprogo.observability.plugins.module_utils._disk_reclaim import quick
from ansible_collections.koprogo.observability.plugins.module_utils._disk_space import Amount
root = sys.argv[1]
policy = FilePolicy(
    name="bench", kind="logs", roots=(root,), patterns=("*.log",), older_than=30 * 86400.0)
begun = time.monotonic()
with quick():
    files = _disk_files.Files(policy=policy, places=Places.of_host(), device=os.stat(root).st_dev,
        now=time.time(), opened=open_files())
    predicted = files.plan(Amount(bytes=1 << 62))
    planned = time.monotonic() - begun
    freed = files.execute(open_files())
assert predicted == freed, (predicted, freed)
seconds = time.monotonic() - begun
# Both processes, each at its peak; what they share is counted twice.
peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({"seconds": seconds, "planned": planned, "files": freed.files,
    "mib": sum(peaks) / 1024}))
"""


@dataclass(frozen=True, kw_only=True)
class Race:
    """One pair on equal trees: seconds, of which ``planned`` went into the prediction; MiB resident."""

    find: float
    ours: float
    planned: float
    mib: float


def _tree(root: Path, count: int) -> None:
    changed = int(time.time()) - _AGE
    root.mkdir()
    for first in range(0, count, _PER_FOLDER):
        path = root / f"{first // _PER_FOLDER:05d}"
        path.mkdir()
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        for number in range(first, min(first + _PER_FOLDER, count)):
            file = os.open(f"app-{number}.log", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=folder)
            # No two folders have their files in the order of their ages.
            age = (number * 7919) % 100_000
            os.utime(file, (changed - age, changed - age))
            os.close(file)
        os.close(folder)


def _settle(cache: str) -> None:
    """Let the disk come to rest, with the same caches for both."""
    os.sync()
    if cache == "cold":
        _DROP.write_text("3", encoding="ascii")


def _find(root: Path) -> float:
    begun = time.monotonic()
    subprocess.run(
        ["find", str(root), "-xdev", "-type", "f", "-name", "*.log", "-mtime", "+30", "-delete"],
        check=True,
    )
    return time.monotonic() - begun


def _ours(root: Path) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections")}
    done = subprocess.run(
        [sys.executable, "-c", _OURS, str(root)],
        check=True,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _race(folder: Path, count: int, *, ours_first: bool, cache: str) -> Race:
    figures: dict[str, float] = {}
    find = 0.0
    for turn in ("ours", "find") if ours_first else ("find", "ours"):
        root = folder / turn
        _tree(root, count)
        _settle(cache)
        if turn == "find":
            find = _find(root)
        else:
            figures = _ours(root)
        shutil.rmtree(root)
    return Race(find=find, ours=figures["seconds"], planned=figures["planned"], mib=figures["mib"])


def summary(races: list[Race], count: int, *, place: str, cache: str) -> str:
    """The section of the page. ``place`` says what was measured on."""
    rows = [
        (
            str(number),
            f"{race.find:.1f} s",
            f"{race.ours:.1f} s",
            f"{race.planned:.1f} s",
            f"{race.ours / race.find:.2f}",
            f"{race.mib:.0f} MiB",
        )
        for number, race in enumerate(races, 1)
    ]
    lines = [
        "## disk_reclaim beside `find -delete`",
        "",
        f"The same selection of {count} small files on {place}, {cache} caches, in turn; memory is that of "
        "both processes at their peaks.",
        "",
        *table(
            ("pair", "find -delete", "disk_reclaim", "of which prediction", "ratio", "memory"), rows
        ),
    ]
    ratios = [race.ours / race.find for race in races]
    alone = [(race.ours - race.planned) / race.find for race in races]
    lines += [
        "",
        f"Median ratio: {statistics.median(ratios):.2f}; "
        f"of the deletion alone: {statistics.median(alone):.2f}.",
    ]
    return "\n".join(lines)


def bench_disk() -> None:
    """Race, and write the section."""
    base = os.environ.get("KOPROGO_BENCH_FOLDER", "/var/tmp")  # noqa: S108 - a real disk is meant
    cache = os.environ.get("KOPROGO_BENCH_CACHE") or (
        "cold" if os.access(_DROP, os.W_OK) else "warm"
    )
    place = subprocess.run(
        ["stat", "--file-system", "--format=%T", base],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="koprogo-bench-", dir=base) as folder:
        races = []
        for number in range(_PAIRS):
            races.append(_race(Path(folder), _FILES, ours_first=bool(number % 2), cache=cache))
            # A pair takes minutes: one that was measured isn't lost with the next.
            print(races[-1], flush=True)
    put(summary(races, _FILES, place=place, cache=cache))
