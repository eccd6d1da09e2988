# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Why a service doesn't answer, whether a restart is the answer, and the restart itself."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    KoprogoError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._io import lookup, read_text
from ansible_collections.koprogo.observability.plugins.module_utils._numbers import DAY, within
from ansible_collections.koprogo.observability.plugins.module_utils._probe import (
    confirmed,
    fetch,
    web_address,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._sockets import (
    Socket,
    SocketTable,
    parse_endpoint,
)
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import (
    Systemd,
    UnitState,
    one_unit,
)

__all__ = ["Dependency", "Health", "UnitRecovery", "judge"]

# A health answer that blames something else than the service itself.
_BLAMES = re.compile(
    r"database|postgres|connection refused|upstream|redis|dependency", re.IGNORECASE
)
_OOM = re.compile(r"oom-kill|Out of memory|Killed process", re.IGNORECASE)
_RECENT = 3600.0


@dataclass(frozen=True, kw_only=True)
class Health:
    """What the health endpoint said: C(ok), C(silent) (no answer in time), C(unwell), or C(unclear).

    The last says something of the question, not of the service: a wrong address or certificate.
    """

    state: str
    status: int = 0
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """Something that the service needs: a TCP endpoint, a URL, or a unit of this host."""

    name: str
    tcp: str = ""
    url: str = ""
    unit: str = ""
    timeout: float = 3.0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Dependency:
        """Read one entry of the option; InputError unless exactly one way to ask is given."""
        given = {key: value for key, value in options.items() if value is not None}
        dependency = cls(**given)
        ways = [way for way in (dependency.tcp, dependency.url, dependency.unit) if way]
        if len(ways) != 1:
            raise InputError(
                f"depends_on: expected one of tcp, url and unit for {dependency.name}, "
                f"found {len(ways)}."
            )
        if dependency.unit:
            one_unit(dependency.unit, option=f"depends_on: unit of {dependency.name}")
        if dependency.tcp and not re.fullmatch(
            r"(\[[0-9a-fA-F:.]+\]|[^\s:]+):\d{1,5}", dependency.tcp
        ):
            raise InputError(
                f"depends_on: expected host:port for {dependency.name}, found '{dependency.tcp}'."
            )
        within(f"depends_on: timeout of {dependency.name}", dependency.timeout, 0.1, 300)
        if dependency.url:
            web_address(dependency.url, option=f"depends_on: url of {dependency.name}")
        return dependency

    def problem(self, systemd: Systemd) -> str:
        """Return what is wrong with it, empty if it answers."""
        if self.unit:
            state = systemd.state(self.unit)
            return "" if state.running else state.describe()
        if self.url:
            answer = fetch(self.url, timeout=self.timeout)
            if answer.error:
                return f"{self.url} does not answer: {answer.error}"
            return "" if 200 <= answer.status < 400 else f"{self.url} answered {answer.status}"
        host, _colon, port = self.tcp.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=self.timeout).close()
        except OSError as error:
            return f"{self.tcp} does not answer: {error}"
        return ""


def judge(state: UnitState, health: Health | None) -> str:
    """Return healthy, down, starting, hung (runs, answers nothing), unwell (says so), or unclear."""
    if state.starting:
        return "starting"
    if not state.running:
        return "down"
    if health is None or health.state == "ok":
        return "healthy"
    return "hung" if health.state == "silent" else health.state


@dataclass(kw_only=True)
class UnitRecovery:
    """One unit with its health endpoint. Times in seconds."""

    unit: str
    runner: Runner
    health_url: str = ""
    health_timeout: float = 5.0
    grace: float = 15.0
    wait: float = 60.0
    settle: float = 2.0
    port: str = ""
    suspect: str = ""
    allow: Sequence[str] | None = None
    depends_on: Sequence[Dependency] = ()
    systemd: Systemd = field(init=False)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        """Prepare; systemd may need longer than the service's stop timeout."""
        one_unit(self.unit)
        for name in self.allow or ():
            one_unit(name, option="allow")
        if self.health_url:
            web_address(self.health_url, option="health_url")
        within("health_timeout", self.health_timeout, 0.1, 300)
        within("grace", self.grace, 0, 3600)
        within("wait", self.wait, 0, DAY)
        within("settle", self.settle, 0, 3600)
        self.systemd = Systemd(self.runner, timeout=max(120.0, self.wait + 100))

    def look(self) -> dict[str, Any]:
        """Collect the evidence. A service that starts, or has just started, gets its time first."""
        state, started = self.systemd.state(self.unit), self.clock()
        if not state.exists:
            raise InputError(f"unit: expected a unit of this host, found none named {self.unit}.")
        while state.starting and self.clock() - started < self.wait:
            self.sleep(0.5)
            state = self.systemd.state(self.unit)
        health = self.ask()
        while (
            health is not None
            and health.state != "ok"
            and state.running
            and state.age < self.grace
            and not state.restarts
        ):
            self.sleep(0.5)
            state, health = self.systemd.state(self.unit), self.ask()
        state, health = confirmed(
            (state, health),
            lambda: (self.systemd.state(self.unit), self.ask()),
            lambda found: judge(*found) == "hung",
            self.sleep,
        )
        condition = judge(state, health)
        if condition == "healthy" and self.suspect:
            condition = "suspect"
        found: dict[str, Any] = {
            "condition": condition,
            "unit": self._unit_facts(state),
            "health": vars(health) if health else {},
            "journal": self.systemd.journal(self.unit, lines=20),
        }
        if condition != "healthy":
            found |= {
                "port_owner": self._port_owner(),
                "dependencies": self._dependencies(),
                "oom_kill": self._oom_kill(state),
                "deploy": self._deploy(),
                "process": self._process(state.main_pid),
            }
        return found

    def ask(self) -> Health | None:
        """Ask the health endpoint once, None if there is none. Silence for the whole time is a hang."""
        if not self.health_url:
            return None
        started = self.clock()
        answer = fetch(self.health_url, timeout=self.health_timeout)
        seconds = round(self.clock() - started, 3)
        if answer.error:
            state = "silent" if answer.silent else "unclear"
            return Health(state=state, detail=answer.error, seconds=seconds)
        well = 200 <= answer.status < 300
        # From 300 to 499 it is the request that is wrong: moved, forbidden, not found.
        state = "ok" if well else "unclear" if 300 <= answer.status < 500 else "unwell"
        detail = "" if well else " ".join(answer.body.split())[:300]
        return Health(state=state, status=answer.status, detail=detail, seconds=seconds)

    def refusal(self, seen: Mapping[str, Any]) -> tuple[str, str]:
        """Return code and reason why a restart is not the answer; empty ones if it may be."""
        names = ", ".join(self.allow or ()) or "none"
        health, condition = seen["health"], seen["condition"]
        down = [row for row in seen["dependencies"] if row["problem"]]
        causes = "; ".join(f"{row['name']}: {row['problem']}" for row in down)
        detail = health.get("detail", "")
        said = f"status {health['status']}" if health.get("status") else detail
        reasons = (
            (
                self.allow is not None and self.unit not in self.allow,
                "not_allowed",
                f"{self.unit} is not on the list of units to restart ({names}).",
            ),
            (
                seen["unit"]["load"] == "masked",
                "masked",
                f"{self.unit} is masked: somebody has forbidden its start.",
            ),
            (
                seen["port_owner"],
                "port_taken",
                f"{self.port} is served by {seen['port_owner']}, not by {self.unit}. Stop that first.",
            ),
            (down, "dependency", f"the cause is elsewhere ({causes}). Remedy that first."),
            (
                condition == "starting",
                "starting",
                f"{seen['unit']['says']} after {self.wait:g} s still. A restart would begin that anew: wait.",
            ),
            (
                condition == "unclear",
                "unclear",
                f"{self.health_url} is no health endpoint that can be asked: expected a status from 200 to "
                f"299, or from 500 on, found {said}. Correct the option health_url.",
            ),
            (
                condition == "unwell" and not self.depends_on and _BLAMES.search(detail),
                "dependency",
                f"the service itself says that the cause is elsewhere: {detail}",
            ),
        )
        return next(((code, reason) for holds, code, reason in reasons if holds), ("", ""))

    def restart(self) -> tuple[str, dict[str, Any]]:
        """Restart, wait for health, and see that it stays; return outcome and evidence."""
        started, problem = self.clock(), ""
        try:
            self.systemd.restart(self.unit)
        except KoprogoError as error:
            problem = error.message
        first = self.systemd.state(self.unit)
        health = self.ask()
        while not problem and not self._well(first, health) and self.clock() - started < self.wait:
            if first.dead:
                problem = f"it died again: {first.describe()}"
                break
            self.sleep(0.5)
            first, health = self.systemd.state(self.unit), self.ask()
        if not problem and self._well(first, health):
            self.sleep(self.settle)
            last, health = self.systemd.state(self.unit), self.ask()
            if last.restarts > first.restarts or not self._well(last, health):
                problem = f"it did not stay well: {last.describe()}"
        elif not problem:
            said = health.detail or str(health.status) if health else first.describe()
            problem = f"not well within {self.wait:g} s: {said}"
        state = self.systemd.state(self.unit)
        return ("not_resolved" if problem else "resolved"), {
            "condition_after": judge(state, health),
            "unit_after": self._unit_facts(state),
            "health_after": vars(health) if health else {},
            "problem": problem,
            "seconds": round(self.clock() - started, 1),
            "journal": self.systemd.journal(self.unit, lines=20),
        }

    def _well(self, state: UnitState, health: Health | None) -> bool:
        return judge(state, health) == "healthy"

    def _unit_facts(self, state: UnitState) -> dict[str, Any]:
        return {
            "name": self.unit,
            "load": state.load,
            "active": state.active,
            "sub": state.sub,
            "result": state.result,
            "exit_status": state.exit_status,
            "restarts": state.restarts,
            "pid": state.main_pid,
            "enabled": state.enabled,
            "age": round(state.age, 1) if state.main_pid else 0.0,
            "says": state.describe(),
        }

    def _port_owner(self) -> str:
        if not self.port:
            return ""
        address, number = parse_endpoint(self.port, option="port")
        wanted = Socket(protocol="tcp", address=address, port=number)
        return SocketTable().holder(wanted, but=self.systemd.pids(self.unit))

    def _dependencies(self) -> list[dict[str, str]]:
        return [
            {"name": dependency.name, "problem": dependency.problem(self.systemd)}
            for dependency in self.depends_on
        ]

    def _oom_kill(self, state: UnitState) -> str:
        """Return what says that the kernel killed it for want of memory, empty if nothing does."""
        if state.result == "oom-kill":
            return "systemd: result oom-kill"
        kernel = self.runner.run(
            [
                "journalctl",
                "--dmesg",
                "--no-pager",
                "--quiet",
                "--output=cat",
                "--since=-1h",
                "--lines=200",
            ],
            timeout=10,
        )
        lines = [line for line in kernel.stdout.splitlines() if _OOM.search(line)]
        mine = [line for line in lines if self.unit in line]
        return (mine or [""])[-1][:300]

    def _deploy(self) -> dict[str, Any]:
        """Return when program and unit files changed last; an outage after a deploy has a suspect."""
        values = self.systemd.show(self.unit, ("ExecStart", "FragmentPath", "DropInPaths"))
        program = re.search(r"path=(\S+) ;", values["ExecStart"])
        paths = [
            program[1] if program else "",
            values["FragmentPath"],
            *values["DropInPaths"].split(),
        ]
        changed = {}
        for path in paths:
            entry = lookup(path) if path else None
            if entry is not None:
                changed[path] = entry.changed_at / 1e9
        if not changed:
            return {"recent": False, "newest": "", "seconds_ago": 0}
        newest = max(changed, key=lambda path: changed[path])
        ago = time.time() - changed[newest]
        return {"recent": ago < _RECENT, "newest": newest, "seconds_ago": round(ago)}

    def _process(self, pid: int) -> dict[str, Any]:
        """Return what a process that answers nothing is waiting for."""
        if not pid:
            return {}
        try:
            status = read_text(f"/proc/{pid}/status") or ""
            waits = read_text(f"/proc/{pid}/wchan") or ""
            opened = sum(1 for _one in Path(f"/proc/{pid}/fd").iterdir())
        except OSError:
            # One that is dying is gone at any moment.
            return {}
        values = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        return {
            "state": values.get("State", "").strip(),
            "threads": int(values.get("Threads", "0")),
            "resident_kib": int(values.get("VmRSS", "0 kB").split()[0]),
            "open_files": opened,
            "waits_in": waits,
        }
