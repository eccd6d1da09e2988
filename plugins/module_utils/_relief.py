# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Relieve a host of the unit that presses it: restart it, or give it less of the processors."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    CommandError,
    InputError,
    KoprogoError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._numbers import within
from ansible_collections.koprogo.observability.plugins.module_utils._pressure import (
    Consumer,
    Pressure,
    Sample,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import (
    Systemd,
    one_unit,
)

__all__ = ["Relief", "matches"]

# Not units that a manager could restart, or whose restart would end more than it relieves.
_NEVER = ("init.scope", "kernel", "no unit", "dbus.service", "systemd-journald.service")
_DEFAULT_WEIGHT = 100


def matches(unit: str, allowed: Sequence[str]) -> bool:
    """Whether a unit is on the list; names are exact, with or without C(.service)."""
    names = {name if "." in name else f"{name}.service" for name in allowed}
    return unit in names and unit not in _NEVER


@dataclass(kw_only=True)
class Relief:
    """What may be done. Shares from 0 to 1, times in seconds."""

    runner: Runner
    pressure: Pressure
    resource: str
    action: str
    allow: Sequence[str]
    below: float
    least_share: float
    weight: int = 20
    nice: int = 10
    seconds: float = 2.0
    wait: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    proc: str = "/proc"

    def __post_init__(self) -> None:
        """InputError for limits that make no sense."""
        if not self.allow:
            raise InputError(
                "allow: expected the units that may be touched, found none. An empty list is refused."
            )
        for name in self.allow:
            one_unit(name, option="allow")
        if self.resource == "memory" and self.action == "renice":
            raise InputError("action: renice relieves processors, not memory; use restart.")
        for name, value in (("below", self.below), ("least_share", self.least_share)):
            if not 0 < value < 1:
                raise InputError(f"{name}: expected a share between 0 and 1, found {value:g}.")
        if not 1 <= self.weight <= _DEFAULT_WEIGHT or not 0 <= self.nice <= 19:
            raise InputError("cpu_weight, nice: expected 1 to 100, and 0 to 19.")
        within("seconds", self.seconds, 0.2, 30)
        within("wait", self.wait, 0, 3600)
        self.systemd = Systemd(self.runner)

    def look(self) -> dict[str, Any]:
        """Sample the host; name the unit that uses most, if the host is short of the resource."""
        sample = self.pressure.sample(self.seconds)
        left = self._left(sample)
        top = [row for row in sample.top(self.resource) if row.unit not in ("kernel", "no unit")]
        offender = top[0] if top and self._share(top[0], sample) >= self.least_share else None
        return {
            "pressed": left < self.below,
            "left_share": round(left, 4),
            "offender": offender.unit if offender else "",
            "offender_share": round(self._share(offender, sample), 4) if offender else 0.0,
            "consumer": offender.as_dict() if offender else {},
            "pids": offender.pids if offender else [],
            "top": [row.as_dict() for row in top[:5]],
            "oom_kills": sample.oom_kills,
        }

    def needed(self, seen: dict[str, Any]) -> bool:
        """Whether there is anything to do, refused or not."""
        if not seen["pressed"]:
            return False
        # A unit that has less already and still presses is not helped by the same again.
        return not (
            self.action == "renice"
            and seen["offender"]
            and self._weight_of(seen["offender"]) <= self.weight
        )

    def refusal(self, seen: dict[str, Any]) -> tuple[str, str]:
        """Return code and reason why nothing may be done; empty ones if it may be."""
        names = ", ".join(f"{row['unit']}" for row in seen["top"][:3])
        if not seen["offender"]:
            return (
                "no_offender",
                f"no unit alone uses {self.least_share:.0%} of the {self.resource}; the first are {names}.",
            )
        if not matches(seen["offender"], self.allow):
            return (
                "not_allowed",
                f"{seen['offender']} uses {seen['offender_share']:.0%} of the {self.resource} and is not on "
                f"the list of units that may be touched ({', '.join(self.allow)}).",
            )
        return "", ""

    def act(self, seen: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Restart the unit or take processors from it; return outcome and evidence."""
        unit, started, problem = seen["offender"], self.clock(), ""
        try:
            if self.action == "restart":
                self.systemd.restart(unit)
                problem = self._settled(unit)
            else:
                self._renice(unit, seen["pids"])
        except KoprogoError as error:
            problem = error.message
        sample = self.pressure.sample(self.seconds)
        left = self._left(sample)
        if self.action == "restart" and not problem and left < self.below:
            problem = f"{left:.1%} of the {self.resource} is left, less than {self.below:.1%}"
        return ("not_resolved" if problem else "resolved"), {
            "left_share_after": round(left, 4),
            "problem": problem,
            "seconds": round(self.clock() - started, 1),
        }

    def _left(self, sample: Sample) -> float:
        return sample.available_share if self.resource == "memory" else sample.idle_share

    def _share(self, row: Consumer, sample: Sample) -> float:
        if self.resource == "memory":
            return row.memory / max(1, sample.memory["total"])
        return row.cpu / sample.cpus

    def _settled(self, unit: str) -> str:
        """Wait until the restarted unit runs, and see that it stays a moment."""
        end = self.clock() + self.wait
        state = self.systemd.state(unit)
        while not state.running and not state.dead and self.clock() < end:
            self.sleep(0.5)
            state = self.systemd.state(unit)
        self.sleep(1.0)
        last = self.systemd.state(unit)
        died = not last.running or last.restarts > state.restarts
        return f"it did not come back: {last.describe()}" if died else ""

    def _weight_of(self, unit: str) -> int:
        text = self.systemd.show(unit, ("CPUWeight",))["CPUWeight"]
        return int(text) if text.isdigit() and int(text) < 2**63 else _DEFAULT_WEIGHT

    def _renice(self, unit: str, pids: Sequence[int]) -> None:
        """Lower the weight until the next boot, and the niceness of what runs now.

        The weight needs the unit's group to have the cpu controller; niceness always counts.
        """
        result = self.runner.run(
            ["systemctl", "set-property", "--runtime", "--", unit, f"CPUWeight={self.weight}"],
            timeout=30,
        )
        if not result.ok:
            raise CommandError(f"systemctl set-property {unit} failed: {result.output}")
        # Each thread has a niceness of its own (setpriority(2)).
        for thread in (
            int(tid) for pid in pids for tid in _io.list_directory(f"{self.proc}/{pid}/task")
        ):
            # It may have ended meanwhile.
            with contextlib.suppress(ProcessLookupError):
                if os.getpriority(os.PRIO_PROCESS, thread) < self.nice:
                    os.setpriority(os.PRIO_PROCESS, thread, self.nice)
