# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""What the collection asks of systemd."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    ServiceError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._io import read_text
from ansible_collections.koprogo.observability.plugins.module_utils._run import Result, Runner

__all__ = ["Systemd", "UnitState", "one_unit"]

_STATE = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "UnitFileState",
    "MainPID",
    "NRestarts",
    "CanReload",
    "NeedDaemonReload",
    "ControlGroup",
    "ExecMainStatus",
    "ExecMainStartTimestampMonotonic",
)
# systemd.unit(5): a prefix, of an instance its name too, and a type, which systemctl adds where it lacks.
_NAME = re.compile(
    r"(?!\.)[\w:.\\-]+(?:@[\w:.\\@-]+)?(?<!@)"
    r"(?:\.(?:service|socket|device|mount|automount|swap|target|path|timer|slice|scope))?",
    re.ASCII,
)
_LONGEST_NAME = 255
# Microseconds that may pass between a process' first line and systemd's note that it was started.
_FORK = 10_000_000


def one_unit(name: str, *, option: str = "unit") -> None:
    """InputError unless an option names one unit: of C(koprogo-*) systemctl takes whatever fits.

    A template without an instance is none either. Instances keep their escapes, C(a@b\\x2dc.service).
    """
    bare = re.sub(r"\.[a-z]+$", "", name)
    if not _NAME.fullmatch(name) or bare.endswith("@") or len(name) > _LONGEST_NAME:
        raise InputError(
            f"{option}: expected the name of one unit, such as koprogo-api.service, found '{name}'. "
            "Patterns, paths and templates without an instance name none."
        )


@dataclass(frozen=True, kw_only=True)
class UnitState:
    """A unit as systemd sees it, by its properties' names. ``age`` is the main process's, in seconds."""

    unit: str
    load: str
    active: str
    sub: str
    result: str
    enabled: str
    main_pid: int
    restarts: int
    can_reload: bool
    need_daemon_reload: bool
    control_group: str
    exit_status: int
    age: float = 0.0

    @property
    def exists(self) -> bool:
        """Whether there is a unit of this name at all; a masked one exists."""
        return self.load not in ("not-found", "")

    @property
    def running(self) -> bool:
        """Whether its processes run."""
        return self.active in ("active", "reloading")

    @property
    def starting(self) -> bool:
        """Whether it is on its way up; one that died and waits for its next try is not."""
        return self.active == "activating" and not self.sub.startswith("auto-restart")

    @property
    def dead(self) -> bool:
        """Whether it will not come back by itself."""
        return self.active in ("failed", "inactive")

    def describe(self) -> str:
        """One phrase for a message."""
        if not self.exists:
            return f"{self.unit} does not exist"
        extra = (
            f", result {self.result}, exit status {self.exit_status}"
            if self.result not in ("success", "")
            else ""
        )
        restarts = f", restarted {self.restarts} times" if self.restarts else ""
        return f"{self.unit} is {self.active} ({self.sub}{extra}{restarts})"


class Systemd:
    """systemctl and journalctl, each call with a time limit in seconds."""

    def __init__(
        self,
        runner: Runner,
        *,
        timeout: float = 120.0,
        cgroups: str = "/sys/fs/cgroup",
    ):
        """Use the given runner; ``cgroups`` exists for tests."""
        self._runner = runner
        self._timeout = timeout
        self._cgroups = cgroups

    # Reading

    def show(self, unit: str, properties: Iterable[str]) -> dict[str, str]:
        """Return properties of a unit; a unit that does not exist has LoadState not-found."""
        wanted = list(properties)
        result = self._runner.run(
            ["systemctl", "show", f"--property={','.join(wanted)}", "--", unit],
            timeout=self._timeout,
        )
        if not result.ok:
            raise ServiceError(
                f"systemctl show {unit} failed with {result.rc}: {result.output or 'no message'}. "
                "Is systemd running on this host?",
                unit=unit,
                rc=result.rc,
            )
        values = dict.fromkeys(wanted, "")
        for line in result.stdout.splitlines():
            key, found, value = line.partition("=")
            if found and key in values:
                values[key] = value
        return values

    def state(self, unit: str) -> UnitState:
        """Return the state of a unit."""
        values = self.show(unit, _STATE)
        return UnitState(
            unit=unit,
            load=values["LoadState"],
            active=values["ActiveState"],
            sub=values["SubState"],
            result=values["Result"],
            enabled=values["UnitFileState"],
            main_pid=_number(values["MainPID"]),
            restarts=_number(values["NRestarts"]),
            can_reload=values["CanReload"] == "yes",
            need_daemon_reload=values["NeedDaemonReload"] == "yes",
            control_group=values["ControlGroup"],
            exit_status=_number(values["ExecMainStatus"]),
            age=_age(values["ExecMainStartTimestampMonotonic"]),
        )

    def journal(self, unit: str, *, lines: int = 15) -> list[str]:
        """Return the last lines of a unit's journal, then those of its dead main process that it lacks."""
        argv = ["journalctl", "--no-pager", "--quiet", "--output=cat", f"--lines={lines}"]
        result = self._runner.run([*argv, f"--unit={unit}"], timeout=20)
        found = result.stdout.splitlines() if result.ok else []
        lost = self._unattributed(unit, lines)
        return [*found, *(line for line in lost if line not in found)]

    def pids(self, unit: str) -> list[int]:
        """Return the processes of a unit, through its control group."""
        values = self.show(unit, ("ControlGroup", "MainPID"))
        found: set[int] = set()
        if values["ControlGroup"]:
            # cgroup v2, then systemd's own hierarchy on hybrid and v1 hosts.
            for base in (self._cgroups, f"{self._cgroups}/unified", f"{self._cgroups}/systemd"):
                found |= self._cgroup_pids(base + values["ControlGroup"])
        if main := _number(values["MainPID"]):
            found.add(main)
        return sorted(found)

    def _unattributed(self, unit: str, lines: int) -> list[str]:
        """Return what a dead main process said that the journal does not give to its unit.

        journald looks a line's unit up by the process that wrote it; on a busy host a process that
        dies at once is gone by then, and its last words are nobody's, or systemd's own.
        """
        wanted = ("Id", "MainPID", "ExecMainPID", "ExecMainStartTimestampMonotonic")
        values = self.show(unit, wanted)
        pid = _number(values["ExecMainPID"])
        if not pid or _number(values["MainPID"]):
            return []
        # A number that another process had before is not this one.
        start = _number(values["ExecMainStartTimestampMonotonic"]) - _FORK
        result = self._runner.run(
            [
                *("journalctl", "--no-pager", "--quiet", "--output=json", "--boot"),
                *(f"--lines={lines}", "--output-fields=MESSAGE,_SYSTEMD_UNIT"),
                *("_TRANSPORT=stdout", f"_PID={pid}"),
            ],
            timeout=20,
        )
        entries = []
        for line in result.stdout.splitlines() if result.ok else ():
            # Long output is cut in its middle.
            with contextlib.suppress(ValueError):
                entries.append(json.loads(line))
        return [
            entry["MESSAGE"]
            for entry in entries
            # The journal has a unit's full name, whichever of its names was asked for.
            if entry.get("_SYSTEMD_UNIT") != values["Id"]
            and int(entry["__MONOTONIC_TIMESTAMP"]) >= start
            # Bytes that are no text come as a list.
            and isinstance(entry.get("MESSAGE"), str)
        ]

    # Acting

    def daemon_reload(self) -> None:
        """Make systemd read its unit files again."""
        self._must(self._systemctl("daemon-reload"), "daemon-reload", "")

    def start(self, unit: str) -> None:
        """Start a unit, also one that reached its start limit."""
        self._systemctl("reset-failed", "--", unit)
        self._must(self._systemctl("start", "--", unit), "start", unit)

    def restart(self, unit: str) -> None:
        """Restart a unit, also one that reached its start limit."""
        self._systemctl("reset-failed", "--", unit)
        self._must(self._systemctl("restart", "--", unit), "restart", unit)

    def reload(self, unit: str) -> None:
        """Reload a unit by its ExecReload."""
        self._must(self._systemctl("reload", "--", unit), "reload", unit)

    def signal(self, unit: str, signal: str) -> None:
        """Send a signal to a unit's main process."""
        self._must(
            self._systemctl("kill", f"--signal={signal}", "--kill-who=main", "--", unit),
            "kill",
            unit,
        )

    def stop(self, unit: str) -> None:
        """Stop a unit."""
        self._must(self._systemctl("stop", "--", unit), "stop", unit)

    def forget(self, unit: str) -> None:
        """Clear a unit's failure, without which one that has no files is gone."""
        self._systemctl("reset-failed", "--", unit)

    def enable(self, unit: str) -> None:
        """Enable a unit at boot."""
        self._must(self._systemctl("enable", "--quiet", "--", unit), "enable", unit)

    def disable(self, unit: str) -> None:
        """Disable a unit at boot."""
        self._must(self._systemctl("disable", "--quiet", "--", unit), "disable", unit)

    def mask(self, unit: str) -> None:
        """Forbid a unit to start."""
        self._must(self._systemctl("mask", "--quiet", "--", unit), "mask", unit)

    def unmask(self, unit: str) -> None:
        """Allow a masked unit to start again."""
        self._must(self._systemctl("unmask", "--quiet", "--", unit), "unmask", unit)

    def _systemctl(self, *arguments: str) -> Result:
        return self._runner.run(
            ["systemctl", "--no-ask-password", *arguments], timeout=self._timeout
        )

    def _must(self, result: Result, verb: str, unit: str) -> None:
        if result.ok:
            return
        name = f" {unit}" if unit else ""
        tail = self.journal(unit) if unit else []
        raise ServiceError(
            f"systemctl {verb}{name} failed with {result.rc}: {result.output or 'no message'}",
            unit=unit,
            rc=result.rc,
            journal=tail,
        )

    def _cgroup_pids(self, folder: str) -> set[int]:
        found: set[int] = set()
        for group, _children, _files in os.walk(folder):
            # A group may vanish meanwhile, and a threaded one does not tell.
            with contextlib.suppress(OSError):
                words = (read_text(f"{group}/cgroup.procs") or "").split()
                found |= {int(word) for word in words if word.isdigit()}
        return found


def _age(microseconds: str) -> float:
    """Return the seconds since a time that systemd gives in microseconds after the boot."""
    return time.monotonic() - _number(microseconds) / 1e6


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
