# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The series of a fleet of hosts: those of the metric contract's fixtures, for each of its targets."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from lab.loopback import ask
from lab.remote_write import HEADERS, labels_field, request_body, sample_field
from tests.metric_contract import series

__all__ = ["DEPLOYMENT", "Feed", "lab_hosts", "labels_of"]

DEPLOYMENT = "bench"
_ROLES = ("monitoring", "api", "database")
# How a series moves, by its name, so that the alerts are quiet and its samples take the room of real ones:
# from the moment in seconds and a number of its own.
_MOVES: tuple[tuple[re.Pattern[str], Callable[[float, int], float]], ...] = tuple(
    (re.compile(name), move)
    for name, move in (
        # What is 1 while all is well, and what is 0.
        (r"(pg_)?up|probe_success|.*_(successful|success|healthy|ready)", lambda _at, _key: 1),
        (
            r".*(error|fail|missed|dropped|stalled|oom|readonly|discard|invalid|refused).*",
            lambda _at, _key: 0,
        ),
        (r".*expiry(_timestamp_seconds)?", lambda at, _key: at + 1e7),
        (r".*_(timestamp|time)_seconds", lambda _at, key: 1e9 + key % 1e6),
        (r"node_cpu_seconds_total", lambda at, _key: at % 1e6 * 0.9),
        (
            r".*_(total|sum|count|bucket)|node_vmstat_.*",
            lambda at, key: round(at % 1e6 * (key % 7 + 1) / 10, 2),
        ),
        (r".*_bytes", lambda at, key: 1e9 + int(at * key) % 5e8),
        # Half of the gauges stand still.
        (r".*", lambda at, key: 1000 + (key % 50 if key % 2 else int(at + key) % 300)),
    )
)
#: Series of one kind that differ; the others repeat them.
_KEYS = 97
_SERIES_A_REQUEST = 1500
_MINUTES_A_REQUEST = 10

Groups = Mapping[str, list[str]]


def lab_hosts(scale: int) -> tuple[Groups, dict[str, dict[str, Any]]]:
    """Groups and variables of an inventory with so many times the lab's three hosts."""
    groups = {role: [f"{role}{n}" for n in range(1, scale + 1)] for role in _ROLES}
    every = [host for members in groups.values() for host in members]
    return {**groups, "all": every}, {host: {"koprogo_deployment": DEPLOYMENT} for host in every}


def labels_of(jobs: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """The labels of every series of the targets, by role prometheus' scrape jobs.

    A job with a fixture of each Debian release has them in turn.
    """
    fixtures: dict[str, list[tuple[Mapping[str, str], ...]]] = {}
    for found in series().values():
        fixtures.setdefault(found[0]["job"], []).append(found)
    for job in jobs:
        name = job["job_name"]
        known = fixtures.get(name, [({"__name__": "up"},)])
        for number, config in enumerate(job["static_configs"]):
            target = {k: v for k, v in config["labels"].items() if not k.startswith("__")}
            complete = [{**labels, **target, "job": name} for labels in known[number % len(known)]]
            # What differs by target in a fixture is one series of each target.
            yield from {str(sorted(one.items())): one for one in complete}.values()


def _move(name: str) -> Callable[[float, int], float]:
    return next(move for pattern, move in _MOVES if pattern.fullmatch(name))


class Feed:
    """Series whose samples are written to a Prometheus."""

    def __init__(self, labels: Iterable[Mapping[str, str]], *, interval: int) -> None:
        """interval: seconds between two samples."""
        self._interval = interval
        self._series = [
            (labels_field(one), _move(one["__name__"]), zlib.crc32(str(one).encode()) % _KEYS)
            for one in labels
        ]

    def __len__(self) -> int:
        """The number of series."""
        return len(self._series)

    def _write(self, base: str, moments: list[int]) -> None:
        samples = {
            (move, key): b"".join(sample_field(move(at, key), at * 1000) for at in moments)
            for move, key in {(move, key) for _field, move, key in self._series}
        }
        for start in range(0, len(self._series), _SERIES_A_REQUEST):
            part = self._series[start : start + _SERIES_A_REQUEST]
            body = request_body((field, samples[move, key]) for field, move, key in part)
            ask(f"{base}/api/v1/write", body, HEADERS)

    def past(self, base: str, *, minutes: int) -> None:
        """Write what would have been scraped in the last minutes, oldest first."""
        end = int(time.time())
        step = _MINUTES_A_REQUEST * 60
        for begin in range(end - minutes * 60, end, step):
            self._write(base, list(range(begin, min(begin + step, end), self._interval)))

    def now(self, base: str) -> None:
        """Write one sample of each series."""
        self._write(base, [int(time.time())])
