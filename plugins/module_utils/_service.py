# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Keep a unit in the wanted state, running what is installed and configured now."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._errors import ServiceError
from ansible_collections.koprogo.observability.plugins.module_utils._outcome import Outcome
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import (
    Systemd,
    UnitState,
    one_unit,
)

__all__ = ["Keeper", "Process", "drop_ins", "stale_reasons", "with_journal"]

_PROPERTIES = (
    "FragmentPath",
    "DropInPaths",
    "ExecStart",
    "ExecMainStartTimestampMonotonic",
    "Type",
    "LoadError",
)
# Unit files that cannot be enabled, or are so already by other means.
_BEYOND_ENABLING = ("static", "indirect", "generated", "alias", "transient", "linked")
_SETS = "/etc/koprogo/"
_ELF_MAGIC = b"\x7fELF"
_UNIT_FOLDERS = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
)
_SHOWN_LINES = 6
# What systemd itself writes into a unit's journal: the sentence says that already.
_MANAGER = re.compile(
    r"^(?:Start(?:ed|ing)|Stopp(?:ed|ing)|Failed to (?:start|attach \d+ to compat)) "
    r"|^\S+\.\w+: (?:Main process exited|Control process exited|Failed with result|Scheduled restart job"
    r"|Start request repeated|Consumed|Deactivated|Unit process)"
)


@dataclass(frozen=True, kw_only=True)
class Process:
    """The main process of a unit, and the files that it was started from.

    ``started`` is a Unix time in seconds; ``unit_files`` are the fragment and its drop-ins.
    """

    pid: int
    started: float
    program: str
    unit_files: tuple[str, ...]


def with_journal(sentence: str, lines: list[str]) -> str:
    """Return a message: the sentence first, then the last words of the service itself."""
    spoken = [line for line in lines if line.strip() and not _MANAGER.search(line)]
    if not spoken:
        return sentence
    return "\n  ".join([f"{sentence} Its journal ends with:", *spoken[-_SHOWN_LINES:]])


def stale_reasons(
    process: Process, *, proc: Path = Path("/proc"), root: Path = Path("/")
) -> list[str]:
    """Return why a running service is not what is on the disk now; empty if it is."""
    reasons = []
    if reason := _stale_program(process, proc, root):
        reasons.append(reason)
    for name in process.unit_files:
        if (
            changed := _changed_at(root / name.lstrip("/"), in_set=_in_set(name, root))
        ) > process.started:
            when = time.strftime("%H:%M:%S", time.gmtime(changed))
            reasons.append(f"{name} changed at {when} UTC, after the start")
    return reasons


def drop_ins(unit: str, *, root: Path = Path("/")) -> dict[str, Path]:
    """Return the drop-ins of a unit by file name, as systemd would find them now.

    systemd keeps a list of the folders that it saw at its last reload, and so does not notice
    the first drop-in of a unit by itself.
    """
    found: dict[str, Path] = {}
    for folder in _UNIT_FOLDERS:
        for path in sorted((root / folder / f"{unit}.d").glob("*.conf")):
            # The first folder wins; a link to /dev/null or to nowhere takes the name away.
            found.setdefault(path.name, path)
    return {name: path for name, path in found.items() if path.is_file()}


def _stale_program(process: Process, proc: Path, root: Path) -> str:
    """Compare what runs with the file that a restart would run."""
    if not process.pid or not process.program:
        return ""
    running = proc / str(process.pid) / "exe"
    program = root / process.program.lstrip("/")
    reason = ""
    try:
        path = str(running.readlink())
        with program.open("rb") as file:
            is_elf = file.read(4) == _ELF_MAGIC
        if path.endswith(" (deleted)") and not path.startswith("/memfd:"):
            reason = (
                f"the running program {path.removesuffix(' (deleted)')} was replaced or removed"
            )
        elif not is_elf:
            # A script runs as its interpreter: only its own age tells.
            if program.stat().st_ctime > process.started:
                reason = f"{process.program} changed after the start"
        # A launcher such as env starts a program of another name: nothing to compare.
        elif Path(path).name == program.resolve().name and not running.samefile(program):
            reason = f"{path} is running, {program.resolve()} is installed"
    except OSError:
        # The process ended meanwhile, or its program is gone: a restart would only kill it.
        return ""
    return reason


def _in_set(name: str, root: Path) -> bool:
    """Whether a unit file is a link into a component's configuration set."""
    try:
        path = root / name.lstrip("/")
        return path.is_symlink() and str(path.readlink()).startswith(_SETS)
    except OSError:
        return False


def _changed_at(path: Path, *, in_set: bool) -> float:
    """Return the Unix time of the last change of a file, 0 where there is none.

    A package's files carry the date of their build, so the inode's change counts. In a
    configuration set unchanged files are carried over as hard links, which touches the
    inode and not the content, so there the modification counts.
    """
    try:
        if in_set:
            return max(path.stat().st_mtime, path.lstat().st_mtime)
        return max(path.stat().st_ctime, path.lstat().st_ctime)
    except OSError:
        return 0.0


class Keeper:
    """Brings one unit into a state; with ``check`` it only says what it would do."""

    def __init__(
        self,
        systemd: Systemd,
        unit: str,
        *,
        check: bool,
        settle: float = 0.25,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``settle`` is how many seconds a started service must live to count as running.

        InputError for a unit that is none, or a pattern for several.
        """
        one_unit(unit)
        self._systemd = systemd
        self._unit = unit
        self._check = check
        self._settle = settle
        self._sleep = sleep
        self._clock = clock
        self.outcome = Outcome()
        self.action = "none"
        self.reasons: list[str] = []

    # Wanted states

    def started(self, *, enabled: bool | None) -> None:
        """Run the unit, from what is installed and configured now."""
        state = self._loaded()
        if state is None:
            return
        if "masked" in (state.load, state.enabled):
            self._note("load", "masked", "loaded")
            if not self._check:
                self._systemd.unmask(self._unit)
                self._systemd.daemon_reload()
                state = self._systemd.state(self._unit)
        known = self._systemd.show(self._unit, ("DropInPaths",))["DropInPaths"].split()
        unread = [str(path) for path in drop_ins(self._unit).values() if str(path) not in known]
        outdated = state.need_daemon_reload or bool(unread)
        if outdated:
            self._note("unit files", "changed on disk", "loaded")
            if not self._check:
                self._systemd.daemon_reload()
                state = self._systemd.state(self._unit)
        self._set_enabled(state, enabled)
        if state.running:
            self._refresh(state, loaded_late=outdated)
        else:
            self._start(state)

    def stopped(self, *, enabled: bool | None) -> None:
        """Stop the unit; one that does not exist is stopped."""
        state = self._systemd.state(self._unit)
        if not state.exists:
            self._forget(state)
            return
        if not state.dead:
            self.action = "stop"
            self._note("state", state.active, "inactive")
            if not self._check:
                self._systemd.stop(self._unit)
        self._set_enabled(state, enabled)

    # Steps

    def _forget(self, state: UnitState) -> None:
        """Stop what lives on without its files; a timer fails when those that it starts are gone."""
        if state.active in ("inactive", ""):
            return
        self.action = "stop"
        self._note("state", state.active, "inactive")
        if not self._check:
            self._systemd.stop(self._unit)
            self._systemd.forget(self._unit)

    def _loaded(self) -> UnitState | None:
        state = self._systemd.state(self._unit)
        if state.exists:
            return state
        if self._check:
            self.action = "start"
            self._note("state", "not installed", "active")
            self.outcome.notes.append(
                f"{self._unit} does not exist yet; a real run installs it first."
            )
            return None
        self._systemd.daemon_reload()
        state = self._systemd.state(self._unit)
        if not state.exists:
            raise ServiceError(
                f"{self._unit}: expected a unit of this name, found none. Install its component first, "
                "or correct the name.",
                unit=self._unit,
            )
        return state

    def _set_enabled(self, state: UnitState, enabled: bool | None) -> None:
        if enabled is None or state.enabled in ("", "masked"):
            return
        if state.enabled.removesuffix("-runtime") in _BEYOND_ENABLING:
            return
        # Enabled until the next boot is not enabled, but there is something to disable.
        if state.enabled == "enabled" if enabled else not state.enabled.startswith("enabled"):
            return
        self._note("enabled", state.enabled, "enabled" if enabled else "disabled")
        if self._check:
            return
        if enabled:
            self._systemd.enable(self._unit)
        else:
            self._systemd.disable(self._unit)

    def _start(self, state: UnitState) -> None:
        self.action = "start"
        self._note("state", f"{state.active} ({state.sub})", "active")
        if not self._check:
            self._act(self._systemd.start)

    def _refresh(self, state: UnitState, *, loaded_late: bool) -> None:
        """Restart what is outdated; watch what was started a moment ago and died before."""
        process = self._process(state)
        self.reasons = stale_reasons(process)
        if loaded_late and not self.reasons:
            # However old they are: systemd started the service without having read them.
            self.reasons = ["systemd has read its unit files only now"]
        if self.reasons:
            self.action = "restart"
            self._note("process", f"outdated: {'; '.join(self.reasons)}", "restarted")
            if not self._check:
                self._act(self._systemd.restart)
        elif state.restarts and time.time() - process.started < self._settle and not self._check:
            self._watch(state)

    def _act(self, act: Callable[[str], None]) -> None:
        try:
            act(self._unit)
        except ServiceError as exc:
            raise self._failure("could not be started", self._systemd.state(self._unit)) from exc
        self._watch(self._systemd.state(self._unit))

    def _watch(self, first: UnitState) -> None:
        """See that the unit lives on: a crash loop looks like success to systemctl."""
        deadline = self._clock() + self._settle
        state = first
        while True:
            died = state.restarts > first.restarts or state.sub == "auto-restart"
            replaced = first.main_pid not in (0, state.main_pid) and not state.dead
            if (
                state.active == "failed"
                or died
                or replaced
                or (state.dead and not self._finished(state))
            ):
                raise self._failure("died right after its start", state)
            if state.dead or self._clock() >= deadline:
                return
            self._sleep(min(0.25, max(0.0, deadline - self._clock())))
            state = self._systemd.state(self._unit)

    def _finished(self, state: UnitState) -> bool:
        """Whether a unit that runs a task and ends has ended well."""
        kind = self._systemd.show(self._unit, ("Type",))["Type"]
        return kind == "oneshot" and state.result == "success"

    def _failure(self, what: str, state: UnitState) -> ServiceError:
        journal = self._systemd.journal(self._unit, lines=20)
        load_error = self._systemd.show(self._unit, ("LoadError",))["LoadError"].strip()
        why = f"it {state.describe().removeprefix(f'{self._unit} ')}"
        if state.load not in ("loaded", ""):
            why = f"its unit file cannot be used ({state.load}): {load_error}"
        return ServiceError(
            with_journal(f"{self._unit} {what}: {why}.", journal),
            unit=self._unit,
            active_state=state.active,
            sub_state=state.sub,
            result=state.result,
            exit_status=state.exit_status,
            restarts=state.restarts,
            journal=journal,
        )

    def _process(self, state: UnitState) -> Process:
        values = self._systemd.show(self._unit, _PROPERTIES)
        program = re.search(r"path=(\S+) ;", values["ExecStart"])
        microseconds = values["ExecMainStartTimestampMonotonic"]
        since_boot = int(microseconds) / 1e6 if microseconds.isdigit() else 0.0
        started = time.time() - (time.monotonic() - since_boot) if since_boot else time.time()
        found = (str(path) for path in drop_ins(self._unit).values())
        files = dict.fromkeys((values["FragmentPath"], *values["DropInPaths"].split(), *found))
        return Process(
            pid=state.main_pid,
            started=started,
            program=program.group(1) if program else "",
            unit_files=tuple(name for name in files if name),
        )

    def _note(self, what: str, before: str, after: str) -> None:
        self.outcome.change(what, before, after)

    # Result

    def result(self) -> dict[str, Any]:
        """Return the keys of the module's result."""
        state = self._systemd.state(self._unit)
        return {
            "unit": self._unit,
            "action": self.action,
            "reasons": self.reasons,
            "active_state": state.active,
            "sub_state": state.sub,
            "enabled": state.enabled == "enabled",
            "pid": state.main_pid,
            "restarts": state.restarts,
            **self.outcome.result(header=f"unit {self._unit}"),
        }
