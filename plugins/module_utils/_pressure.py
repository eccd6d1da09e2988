# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Who uses a host's processors and memory, by systemd unit, over a short sample.

Units are read from each process's control group, so it is the same on cgroup v1 and v2. Only /proc is
read: it works where nothing can be written and no program can be started.
"""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner

__all__ = ["Consumer", "Pressure", "Sample"]

_UNIT = (".service", ".scope", ".socket", ".mount")
# What systemd tracks units by: its own hierarchy, or the unified one.
_TRACKED = ("", "name=systemd")
_MANAGER = "/init.scope"
_CPU = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_OOM = re.compile(r"Out of memory|oom-kill|Killed process", re.IGNORECASE)
# Growth below this, in bytes a second, is noise in a sample of seconds.
_LEAK = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class _Process:
    """One process at one moment; ``ticks`` of processor time, memory in bytes."""

    pid: int
    unit: str
    name: str
    ticks: int
    started: int
    anonymous: int
    shared: int
    resident: int
    nice: int


@dataclass(kw_only=True)
class Consumer:
    """What one unit uses: processors (1.0 is one of them), bytes, bytes a second of growth."""

    unit: str
    cpu: float = 0.0
    memory: int = 0
    growth: float = 0.0
    processes: int = 0
    age: float = 0.0
    pids: list[int] = field(default_factory=list)
    commands: set[str] = field(default_factory=set)

    def as_dict(self) -> dict[str, Any]:
        """The row of a result."""
        return {
            "unit": self.unit,
            "cpu": round(self.cpu, 3),
            "memory_bytes": self.memory,
            "growth_bytes_per_second": round(self.growth),
            "growth_since_start": round(self.memory / self.age) if self.age > 0 else 0,
            "leaking": self.growth >= _LEAK,
            "processes": self.processes,
            "age": round(self.age, 1),
            "commands": sorted(self.commands)[:5],
        }


@dataclass(kw_only=True)
class Sample:
    """What a sample found."""

    seconds: float
    cpus: int
    shares: Mapping[str, float]
    memory: Mapping[str, int]
    psi: Mapping[str, Mapping[str, float]]
    load: list[float]
    oom_kills: int
    oom_messages: list[str]
    consumers: list[Consumer]

    def top(self, resource: str) -> list[Consumer]:
        """Return the consumers of cpu or memory, the greatest first."""
        key: Callable[[Consumer], float] = (
            (lambda row: row.cpu) if resource == "cpu" else (lambda row: row.memory)
        )
        return sorted(self.consumers, key=lambda row: (-key(row), row.unit))

    def as_dict(self, *, top: int) -> dict[str, Any]:
        """The module's result."""
        return {
            "seconds": round(self.seconds, 2),
            "cpus": self.cpus,
            "cpu_shares": {key: round(value, 4) for key, value in self.shares.items()},
            "memory": dict(self.memory),
            "available_share": round(self.available_share, 4),
            "psi": {key: dict(value) for key, value in self.psi.items()},
            "load": self.load,
            "oom_kills": self.oom_kills,
            "oom_messages": self.oom_messages,
            "by_cpu": [row.as_dict() for row in self.top("cpu")[:top]],
            "by_memory": [row.as_dict() for row in self.top("memory")[:top]],
        }

    @property
    def available_share(self) -> float:
        """Which share of the memory is available."""
        return self.memory["available"] / max(1, self.memory["total"])

    @property
    def idle_share(self) -> float:
        """Which share of the processors was idle; waiting for a disk is idle.

        Figures that stand still (a container whose C(/proc/stat) is another program's) tell nothing, and
        nobody is touched for nothing: all of it was idle.
        """
        if not any(self.shares.values()):
            return 1.0
        return self.shares.get("idle", 0.0) + self.shares.get("iowait", 0.0)


class Pressure:
    """Takes samples; ``proc`` exists for tests."""

    def __init__(
        self,
        runner: Runner,
        *,
        proc: str = "/proc",
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is read yet."""
        self._runner = runner
        self._proc = proc
        self._sleep = sleep
        self._clock = clock

    def sample(self, seconds: float) -> Sample:
        """Look twice, ``seconds`` apart."""
        began, before, cpu_before = self._clock(), self._processes(), self._cpu()
        self._sleep(seconds)
        after, cpu_after, passed = self._processes(), self._cpu(), self._clock() - began
        spent = {key: cpu_after[key] - cpu_before[key] for key in cpu_after}
        whole = max(1, sum(spent.values()))
        return Sample(
            seconds=passed,
            cpus=os.cpu_count() or 1,
            shares={key: value / whole for key, value in spent.items()},
            memory=self._memory(),
            psi=self._psi(),
            load=[float(word) for word in (self._read("loadavg") or "0 0 0").split()[:3]],
            oom_kills=self._oom_kills(),
            oom_messages=self._oom_messages(),
            consumers=_consumers(before, after, max(passed, 0.001), self._uptime()),
        )

    def _processes(self) -> dict[tuple[int, int], _Process]:
        found = {}
        for name in _io.list_directory(self._proc):
            if not name.isdigit():
                continue
            try:
                process = self._process(int(name))
            except OSError:  # ended meanwhile
                continue
            if process is not None:
                found[(process.pid, process.started)] = process
        return found

    def _process(self, pid: int) -> _Process | None:
        stat = self._read(f"{pid}/stat")
        groups = self._read(f"{pid}/cgroup")
        status = self._read(f"{pid}/status") or ""
        name, _bracket, rest = (stat or "").rpartition(")")
        fields = rest.split()
        if len(fields) < 22:
            return None
        unit = self._unit_of(groups or "")
        anonymous = re.search(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)
        shared = re.search(r"^RssShmem:\s+(\d+) kB", status, re.MULTILINE)
        resident = int(fields[21]) * _PAGE
        # Pages of files are given back under pressure; without the figures all of it counts.
        own = int(anonymous[1]) * 1024 if anonymous else resident
        return _Process(
            pid=pid,
            # A thread of the kernel has no memory of its own and no unit.
            unit=unit or ("kernel" if not resident else "no unit"),
            name=name.partition("(")[2],
            ticks=int(fields[11]) + int(fields[12]),
            started=int(fields[19]),
            anonymous=own,
            shared=int(shared[1]) * 1024 if anonymous and shared else 0,
            resident=resident,
            nice=int(fields[16]),
        )

    def _unit_of(self, groups: str) -> str:
        """The unit of this host's systemd that a process is in: the first below its slices.

        Those further down are of a user's own manager, or of one in a container, and may have any name.
        """
        for path in _tracked(groups):
            parts = path.removeprefix(self._root).strip("/").split("/")
            first = next((part for part in parts if not part.endswith(".slice")), "")
            if first.endswith(_UNIT):
                return first
        return ""

    @functools.cached_property
    def _root(self) -> str:
        """Where the groups of this host's systemd begin; in a container that may be anywhere."""
        paths = _tracked(self._read("1/cgroup") or "")
        return next((p.removesuffix(_MANAGER) for p in paths if p.endswith(_MANAGER)), "")

    def _cpu(self) -> dict[str, int]:
        first = (self._read("stat") or "cpu 0").splitlines()[0].split()[1:9]
        values = [int(word) for word in first] + [0] * (len(_CPU) - len(first))
        return dict(zip(_CPU, values, strict=True))

    def _memory(self) -> dict[str, int]:
        text = self._read("meminfo") or ""
        found = dict(re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE))
        names = {"total": "MemTotal", "available": "MemAvailable", "swap_total": "SwapTotal",
                 "swap_free": "SwapFree"}  # fmt: skip
        return {key: int(found.get(name, "0")) * 1024 for key, name in names.items()}

    def _psi(self) -> dict[str, dict[str, float]]:
        """Return the pressure stall information; a kernel without it has none."""
        found = {}
        for name in ("cpu", "memory", "io"):
            try:
                text = self._read(f"pressure/{name}") or ""
            except OSError:  # switched off at boot
                continue
            rows = re.findall(r"^(some|full) avg10=([\d.]+) avg60=([\d.]+)", text, re.MULTILINE)
            if rows:
                found[name] = {f"{kind}_avg10": float(ten) for kind, ten, _sixty in rows} | {
                    f"{kind}_avg60": float(sixty) for kind, _ten, sixty in rows
                }
        return found

    def _oom_kills(self) -> int:
        match = re.search(r"^oom_kill (\d+)$", self._read("vmstat") or "", re.MULTILINE)
        return int(match.group(1)) if match else 0

    def _oom_messages(self) -> list[str]:
        result = self._runner.run(
            ["journalctl", "--dmesg", "--no-pager", "--quiet", "--output=cat", "--since=-1d",
             "--grep=Out of memory|oom-kill|Killed process", "--lines=5"],
            timeout=10,
        )  # fmt: skip
        return [line[:300] for line in result.stdout.splitlines() if _OOM.search(line)]

    def _uptime(self) -> float:
        return float((self._read("uptime") or "0").split()[0])

    def _read(self, name: str) -> str | None:
        return _io.read_text(f"{self._proc}/{name}")


def _consumers(
    before: Mapping[tuple[int, int], _Process],
    after: Mapping[tuple[int, int], _Process],
    seconds: float,
    uptime: float,
) -> list[Consumer]:
    """Add up processes by unit. One that came or went in between counts with what is known of it."""
    rows: dict[str, Consumer] = {}
    shared: dict[str, int] = {}
    for key, process in after.items():
        row = rows.setdefault(process.unit, Consumer(unit=process.unit))
        earlier = before.get(key)
        used = process.ticks - (earlier.ticks if earlier else 0)
        row.cpu += used / _TICKS / seconds
        row.memory += process.anonymous
        # Every process of a server such as PostgreSQL has the same shared memory: it counts once.
        shared[process.unit] = max(shared.get(process.unit, 0), process.shared)
        if earlier:
            row.growth += (process.anonymous - earlier.anonymous) / seconds
        row.processes += 1
        row.pids.append(process.pid)
        row.commands.add(process.name)
        row.age = max(row.age, uptime - process.started / _TICKS)
    for unit, size in shared.items():
        rows[unit].memory += size
    return list(rows.values())


def _tracked(groups: str) -> list[str]:
    """The paths by which systemd tracks a process, of the lines of C(/proc/PID/cgroup) (cgroups(7))."""
    rows = [line.split(":", 2) for line in groups.splitlines()]
    return [row[2] for row in rows if len(row) == 3 and row[1] in _TRACKED]
