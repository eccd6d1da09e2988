# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""What a host shows of the stack: its units, their hardening, their sockets, and lines in its logs."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._sockets import (
    Socket,
    SocketTable,
)
from ansible_collections.koprogo.observability.plugins.module_utils._stack import (
    MARK,
    Check,
    failed,
    listed,
    passed,
    skipped,
)
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import Systemd

__all__ = ["LOG_KINDS", "Unit", "hardening", "sockets", "units", "write_marks"]

LOG_KINDS = ("auth", "journal", "json", "postgresql", "unit")

_JOURNAL = "/run/systemd/journal/socket"

_PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "NRestarts",
    "ActiveEnterTimestampMonotonic",
)
# Enabled by itself, or by what systemd generates for it.
_ENABLED = ("enabled", "enabled-runtime", "static", "generated", "alias", "indirect")
# A unit that systemd had to restart is judged as restarting for this long.
_SETTLED_AFTER = 120.0


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit that has to run here.

    port: must be listened on (0: not judged). doors: ports that it may serve on the host's own
    address. max_exposure: of C(systemd-analyze security); 0 for a unit that isn't ours to harden.
    """

    unit: str
    port: int = 0
    doors: tuple[int, ...] = ()
    max_exposure: float = 0.0

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Unit:
        """Make a unit of a module's option."""
        return cls(
            unit=options["unit"],
            port=options.get("port") or 0,
            doors=tuple(options.get("doors") or ()),
            max_exposure=options.get("max_exposure") or 0.0,
        )


def _states(runner: Runner, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """systemd's properties of all units in one call, by name."""
    wanted = list(names)
    result = runner.run(
        ["systemctl", "show", f"--property={','.join(_PROPERTIES)}", "--", *wanted], timeout=30
    )
    blocks = [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for block in result.stdout.strip().split("\n\n")
    ]
    # One block for each name, in order. An alias answers with another Id.
    return dict(zip(wanted, blocks, strict=False))


def _unit_problem(state: Mapping[str, str], now: float) -> str:
    if state.get("LoadState") != "loaded":
        return state.get("LoadState") or "unknown to systemd"
    if state.get("ActiveState") != "active":
        return f"{state['ActiveState']} ({state.get('SubState')})"
    if state.get("UnitFileState") not in _ENABLED:
        return f"runs but is {state.get('UnitFileState') or 'not enabled'}: it won't be there after a reboot"
    restarts = int(state.get("NRestarts") or 0)
    age = now - int(state.get("ActiveEnterTimestampMonotonic") or 0) / 1e6
    if restarts and age < _SETTLED_AFTER:
        return f"keeps restarting: {restarts} times by itself, the last {age:.0f} s ago"
    return ""


def units(
    runner: Runner, host: str, wanted: Iterable[Unit], now: float | None = None
) -> list[Check]:
    """Enabled, running, and not restarting. now: seconds of the monotonic clock."""
    names = [unit.unit for unit in wanted]
    if not names:
        return []
    states = _states(runner, names)
    moment = time.monotonic() if now is None else now
    problems: dict[str, list[str]] = {}
    for name in names:
        if problem := _unit_problem(states.get(name, {}), moment):
            problems.setdefault(problem, []).append(name)
    if not problems:
        return [passed("units run", host, f"{len(names)} enabled, active, not restarting")]
    return [
        failed(
            "units run",
            host,
            f"{listed(found)}: {problem}",
            f"systemctl status {' '.join(found)}; "
            f"journalctl{''.join(f' -u {name}' for name in found)} -n 50 --no-pager",
        )
        for problem, found in problems.items()
    ]


def hardening(runner: Runner, host: str, wanted: Iterable[Unit]) -> list[Check]:
    """Exposure as systemd-analyze sees it, at most what each unit may have."""
    limits = {unit.unit: unit.max_exposure for unit in wanted if unit.max_exposure}
    if not limits:
        return []
    result = runner.run(["systemd-analyze", "security", "--json=short", "--no-pager"], timeout=60)
    try:
        rows = json.loads(result.stdout)
    except ValueError:
        return [
            failed(
                "units hardened", host, f"no answer: {result.output}", "systemd-analyze security"
            )
        ]
    exposure = {row["unit"]: float(row["exposure"]) for row in rows}
    # A unit that isn't loaded has no row; that it doesn't run is said elsewhere.
    seen = {name: exposure[name] for name in limits if name in exposure}
    wide = {name: value for name, value in seen.items() if value > limits[name]}
    if wide:
        return [
            failed(
                "units hardened",
                host,
                f"{name} has exposure {value:g}, expected at most {limits[name]:g}",
                f"systemd-analyze security {name}",
            )
            for name, value in wide.items()
        ]
    if not seen:
        return [skipped("units hardened", host, "no unit of ours is loaded")]
    worst = max(seen.values())
    return [passed("units hardened", host, f"{len(seen)} with exposure at most {worst:g}")]


def _in_place(found: Socket, unit: Unit, addresses: Iterable[str]) -> bool:
    if found.address != "*" and ipaddress.ip_address(found.address).is_loopback:
        return True
    return found.port in unit.doors and found.address in addresses


def sockets(
    systemd: Systemd,
    table: SocketTable,
    host: str,
    wanted: Iterable[Unit],
    addresses: Iterable[str],
) -> list[Check]:
    """Listening sockets: on loopback only, doors on the host's own addresses, none missing."""
    checks: list[Check] = []
    seen = 0
    own = set(addresses)
    for unit in wanted:
        if not unit.port and not unit.max_exposure:
            continue
        pids = systemd.pids(unit.unit)
        listeners = [one for one in table.of(pids) if one.protocol == "tcp"]
        seen += len(listeners)
        wide = [str(one) for one in listeners if not _in_place(one, unit, own)]
        ports = {one.port for one in listeners}
        if wide:
            problem = f"{unit.unit} listens on {listed(wide)}, expected loopback or a door"
        elif listeners and unit.port and unit.port not in ports:
            problem = (
                f"{unit.unit} listens on {listed(map(str, listeners))}, expected port {unit.port}"
            )
        elif not listeners and unit.port and pids:
            problem = f"{unit.unit} listens on nothing, expected port {unit.port}"
        else:
            continue
        checks.append(failed("sockets closed to strangers", host, problem, "ss -ltnp"))
    if checks:
        return checks
    return [passed("sockets closed to strangers", host, f"all {seen} on loopback or behind a door")]


def _api_line(text: str) -> str:
    """A line in the API's form whose fields the runbook's LogQL selects, and that accuses nobody.

    It carries the words and figures that the queries look for, but says that it is a test: level
    INFO, no client's address, a method and a status that no request has. The address is the
    first key, because log watchers anchor there.
    """
    return json.dumps(
        {
            "remote_addr": "-",
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": "INFO",
            "method": "VERIFY",
            "path": "/api/v1/auth/login",
            "route": MARK,
            "status": 0,
            "duration_ms": 1001,
            "message": f"{text} (a test: neither an ERROR nor a 401)",
        },
        separators=(",", ":"),
    )


def _append(path: str, line: str) -> str:
    """Append one line with one write, as the daemon does; never create the file."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        return f"{path}: {error.strerror}"
    try:
        os.write(handle, f"{line}\n".encode())
    except OSError as error:
        return f"{path}: {error.strerror}"
    finally:
        os.close(handle)
    return ""


def _journal_entry(runner: Runner, unit: str, text: str) -> str:
    """Send one entry about a unit's main process in the journal's native protocol."""
    pid = Systemd(runner).show(unit, ("MainPID",))["MainPID"]
    if pid in ("", "0"):
        return f"{unit} has no main process"
    # journald looks its unit up, and only where root asks for that.
    entry = f"MESSAGE={text} (a test)\nPRIORITY=6\nSYSLOG_IDENTIFIER={MARK}\nOBJECT_PID={pid}\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
            journal.connect(_JOURNAL)
            journal.sendall(entry.encode())
    except OSError as error:
        return f"{_JOURNAL}: {error.strerror}"
    return ""


def _write(runner: Runner, kind: str, path: str, text: str) -> str:
    """Write the marked line the way that kind of log is written; return what went wrong."""
    if kind == "json":
        return _append(path, _api_line(text))
    if kind == "postgresql":
        block = f"DO $$ BEGIN RAISE LOG '{text} (a test, no ERROR)'; END $$"
        result = runner.run(
            ["psql", "--no-psqlrc", "--quiet", "--dbname=postgres", f"--command={block}"],
            user="postgres",
            timeout=20,
        )
    elif kind == "unit":
        return _journal_entry(runner, path, text)
    elif kind in ("journal", "auth"):
        priority = "authpriv.notice" if kind == "auth" else "daemon.notice"
        result = runner.run(["logger", f"--tag={MARK}", f"--priority={priority}", "--", text])
    else:
        raise InputError(f"log kind: expected one of {', '.join(LOG_KINDS)}, found '{kind}'.")
    return "" if result.ok else result.output or f"{result.argv[0]} ended with {result.rc}"


def write_marks(
    runner: Runner, host: str, logs: Iterable[Mapping[str, Any]], token: str
) -> tuple[list[Check], list[dict[str, Any]]]:
    """Write one line with ``token`` into each log; return the checks and the marks to look for.

    A log has ``job`` (its label in Loki), ``kind``, and ``path``: the file, or the unit's name.
    """
    checks: list[Check] = []
    marks: list[dict[str, Any]] = []
    for log in logs:
        problem = _write(runner, log["kind"], log.get("path") or "", f"{MARK} {token}")
        if problem:
            checks.append(
                failed(
                    "marked line written",
                    host,
                    f"log '{log['job']}': {problem}",
                    f"ls -l {log['path']}"
                    if log["kind"] == "json"
                    else f"journalctl -n 20 -t {MARK}",
                )
            )
        else:
            marks.append({"job": log["job"], "host": host, "token": token, "written": time.time()})
    if marks and not checks:
        checks.append(passed("marked line written", host, f"into {len(marks)} logs"))
    return checks, marks
