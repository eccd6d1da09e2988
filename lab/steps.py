# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps that run side by side as far as their needs allow, with visible progress."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from lab.shell import LabError

__all__ = ["Clock", "Say", "Step", "clock", "run_steps"]

Say = Callable[[str], None]


def clock(seconds: float) -> str:
    """Return a duration as minutes and seconds."""
    whole = int(seconds)
    return f"{whole // 60:d}:{whole % 60:02d}"


@dataclass(frozen=True)
class Step:
    """One unit of work; ``needs`` names the steps that must have succeeded before it."""

    name: str
    work: Callable[[Say], str | None]
    needs: tuple[str, ...] = ()


@dataclass
class Clock:
    """Prints lines with the time since the start; safe to use from several threads."""

    started: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.started

    def say(self, name: str, text: str) -> None:
        """Print one line of progress."""
        with self.lock:
            print(f"[{clock(self.elapsed()):>6}] {name:<10} {text}", flush=True)


def run_steps(steps: Sequence[Step], board: Clock, *, heartbeat: float = 30) -> dict[str, float]:
    """Run all steps; return their durations in seconds.

    A failed step does not stop the ones that do not need it: their work (a build of several
    minutes) is kept for the next try. The first failure is raised at the end.
    """
    known = {step.name for step in steps}
    for step in steps:
        if missing := set(step.needs) - known:
            raise ValueError(f"step {step.name} needs the unknown {sorted(missing)}")
    durations: dict[str, float] = {}
    failures: list[LabError] = []
    waiting = list(steps)
    running: dict[Future[float], Step] = {}
    with ThreadPoolExecutor(max_workers=max(1, len(steps))) as pool:
        while True:
            for step in [one for one in waiting if durations.keys() >= set(one.needs)]:
                waiting.remove(step)
                running[pool.submit(_perform, step, board)] = step
            if not running:
                break
            done, _ = wait(running, timeout=heartbeat, return_when=FIRST_COMPLETED)
            if not done:
                board.say("…", "still at it: " + ", ".join(one.name for one in running.values()))
            for future in done:
                step = running.pop(future)
                try:
                    durations[step.name] = future.result()
                except LabError as error:
                    board.say(step.name, "FAILED")
                    failures.append(error)
    if failures:
        raise failures[0]
    if waiting:
        raise ValueError(f"steps need each other in a circle: {[one.name for one in waiting]}")
    return durations


def _perform(step: Step, board: Clock) -> float:
    began = time.monotonic()
    result = step.work(lambda text: board.say(step.name, text))
    seconds = time.monotonic() - began
    board.say(step.name, f"ready ({clock(seconds)})" + (f": {result}" if result else ""))
    return seconds
