# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a test run: some at a time, each with its log, its duration and its verdict."""

from __future__ import annotations

import math
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from lab.paths import ROOT, STATE
from lab.shell import stream, tail
from lab.steps import Clock, clock
from lab.venv import tool_environment

__all__ = ["LANES", "Outcome", "Part", "run_parts", "table"]

# A scenario keeps a core busy for most of the time. Those that mostly wait come first, with a lane more,
# which the rest take over; a fourth would make two cores late for the deadlines of the tests.
LANES = min(2, os.cpu_count() or 1)
_LOGS = STATE / "test"
# What says how a part went: pytest's last line, and those of the linters.
_SUMMARY = re.compile(r"^.*(?:\d+ passed|\d+ failed|Success: |All checks passed|Passed: ).*$", re.M)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_SHOWN_LINES = 150


@dataclass(frozen=True)
class Part:
    """One command of a run; it passes when it returns 0."""

    name: str
    argv: tuple[str, ...]
    cwd: Path = ROOT
    env: Mapping[str, str] = field(default_factory=dict)
    # A scenario kills hosts and daemons on a machine that may be busy. A second try is allowed, and told.
    tries: int = 1
    # One that sits and waits for most of its time: it has a lane of its own beside the others.
    waits: bool = False
    # The most seconds that it took anywhere: a run with a limit begins it while as much is left.
    room: float = 0


@dataclass(frozen=True)
class Outcome:
    """How a part ended, or that it was not begun: then it has neither passed nor failed."""

    name: str
    passed: bool
    seconds: float
    begun: bool = True

    @property
    def verdict(self) -> str:
        """What the table says of it."""
        return ("passed" if self.passed else "FAILED") if self.begun else "not begun"


def table(outcomes: Sequence[Outcome], slowest: int = 15, elapsed: float | None = None) -> str:
    """Return the slowest parts, all failures and what was not begun, and as the last line the count.

    ``elapsed`` is the whole run's duration in seconds, less than the parts' sum where they ran
    side by side.
    """
    shown = sorted(outcomes, key=lambda one: one.seconds, reverse=True)
    shown = shown[:slowest] + [one for one in shown[slowest:] if one.verdict != "passed"]
    width = max((len(one.name) for one in shown), default=0)
    lines = ["", "The slowest parts:" if len(outcomes) > len(shown) else "Parts:"]
    lines += [f"  {one.name:<{width}}  {clock(one.seconds):>6}  {one.verdict}" for one in shown]
    counts = Counter(one.verdict for one in outcomes)
    total = sum(one.seconds for one in outcomes)
    lines += [
        "",
        f"All of it took {clock(total if elapsed is None else elapsed)}.",
        f"{counts['passed']} passed, {counts['FAILED']} failed"
        + (f", {left} not begun for lack of time" if (left := counts["not begun"]) else ""),
    ]
    return "\n".join(lines)


def run_parts(
    parts: Sequence[Part],
    *,
    lanes: int = LANES,
    logs: Path = _LOGS,
    heartbeat: float = 60,
    board: Clock | None = None,
    after: Callable[[], object] | None = None,
    limit: float = math.inf,
) -> list[Outcome]:
    """Run all parts, ``lanes`` at a time, or one more where some of them mostly wait; a failed one does
    not stop the others.

    A single part speaks to the terminal itself. Of several, each writes its log, and the end of a
    failed one's is shown. On ``board`` they may share a clock with what runs beside them: what does not
    mostly wait begins when ``after`` returns, so that it isn't a lane too many. What could not end within
    ``limit`` seconds of the clock is not begun.
    """
    board = board or Clock()
    if len(parts) == 1:
        return [_perform(parts[0], board, None, limit)]
    logs.mkdir(parents=True, exist_ok=True)
    queue = list(parts)
    outcomes: dict[str, Outcome] = {}

    def take(*, waiters: bool) -> Part | None:
        with board.lock:
            fit = [part for part in queue if board.elapsed() + part.room <= limit]
            first = (part for part in fit if part.waits == waiters)
            # Whose waiting is over helps the others; none of them takes what waits.
            part = next(first, fit[0] if fit and waiters else None)
            if part:
                queue.remove(part)
            return part

    def lane(*, waiters: bool) -> None:
        if after and not waiters:
            after()
        while part := take(waiters=waiters):
            log = logs / f"{part.name.replace(' ', '-')}.log".replace("/", "-")
            outcomes[part.name] = _perform(part, board, log, limit)
            board.say("", f"{len(outcomes)} of {len(parts)} done")

    # One more than the cores where there is waiting to do; one at least keeps to what works.
    waiting = min(lanes, sum(part.waits for part in parts))
    kinds = [False] * (lanes + bool(waiting) - waiting) + [True] * waiting
    processors = _Processors()
    with ThreadPoolExecutor(len(kinds)) as pool:
        left = {pool.submit(lane, waiters=waiters) for waiters in kinds}
        while left:
            done, left = wait(left, timeout=heartbeat, return_when=FIRST_COMPLETED)
            for one in done:
                one.result()
            if not done:
                taken = [part.name for part in parts if part not in queue]
                names = [name for name in taken if name not in outcomes]
                board.say("…", f"still at it: {', '.join(names)} ({processors.told()})")
    if queue:
        left_out = ", ".join(part.name for part in queue)
        board.say("…", f"not begun, as they might not end within {clock(limit)}: {left_out}")
    outcomes |= {one.name: Outcome(one.name, False, 0, begun=False) for one in queue}
    return [outcomes[part.name] for part in parts]


class _Processors:
    """What a run had of the processors: a late test on a machine lent to others is another thing than a
    slow test.
    """

    def __init__(self) -> None:
        self._before = self._ticks()

    @staticmethod
    def _ticks() -> tuple[int, int, int]:
        """Return all ticks, the idle ones and the stolen ones (proc(5), the first line of stat)."""
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
        ticks = [int(word) for word in first.split()[1:9]]
        return sum(ticks), ticks[3] + ticks[4], ticks[7]

    def told(self) -> str:
        """Return the load now, and the shares that were idle and stolen since it was told last."""
        now = self._ticks()
        spent, idle, stolen = (new - old for new, old in zip(now, self._before, strict=True))
        self._before = now
        whole = max(spent, 1)
        return (
            f"load {os.getloadavg()[0]:.1f}, idle {idle / whole:.0%}, stolen {stolen / whole:.0%}"
        )


def _perform(part: Part, board: Clock, log: Path | None, limit: float) -> Outcome:
    """Run one part, again as often as it may and as time is left; its name tells of a second try."""
    began = time.monotonic()
    name = part.name
    for attempt in range(1, part.tries + 1):
        board.say(name, " ".join(part.argv))
        code = stream(part.argv, cwd=part.cwd, env={**tool_environment(), **part.env}, log=log)
        passed = code == 0
        said = f": {summary}" if log and (summary := _summary(log)) else ""
        took = clock(time.monotonic() - began)
        board.say(name, f"passed ({took}){said}" if passed else f"FAILED ({code}, {took}){said}")
        if not passed and log:
            with board.lock:
                print(_end(log), flush=True)
        if passed or board.elapsed() + (time.monotonic() - began) / attempt > limit:
            break
        if attempt < part.tries:
            name = f"{part.name} (try {attempt + 1})"
    return Outcome(name, passed, time.monotonic() - began)


def _text(log: Path) -> str:
    return _COLOUR.sub("", log.read_text(encoding="utf-8", errors="replace"))


def _summary(log: Path) -> str:
    found = _SUMMARY.findall(_text(log))
    return found[-1].strip("= ") if found else ""


def _end(log: Path) -> str:
    """The failures of a log and what came just before the end of it."""
    lines = _text(log).splitlines()
    # After a failure Molecule takes its hosts away: pytest's words are what matters.
    first = next((n for n, line in enumerate(lines) if re.fullmatch(r"=+ FAILURES =+", line)), None)
    shown = lines[first:] if first is not None else lines
    if len(shown) > 2 * _SHOWN_LINES:
        left_out = len(shown) - 2 * _SHOWN_LINES
        shown = [*shown[:_SHOWN_LINES], f"… {left_out} lines left out …", *shown[-_SHOWN_LINES:]]
    return f"--- {log}\n" + tail("\n".join(shown), 2 * _SHOWN_LINES + 1) + "\n---"
