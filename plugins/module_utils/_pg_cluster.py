# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Why a PostgreSQL cluster of Debian's does not answer, and the restart of it.

Nothing here ever repairs a data directory. Signs of corruption end it: what follows is a restore.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    KoprogoError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._numbers import DAY, within
from ansible_collections.koprogo.observability.plugins.module_utils._pg_log import (
    STARTING,
    corruption_signs,
    last_words,
    log_paths,
    names_damage,
    tail_of,
)
from ansible_collections.koprogo.observability.plugins.module_utils._postgresql import Psql
from ansible_collections.koprogo.observability.plugins.module_utils._probe import confirmed
from ansible_collections.koprogo.observability.plugins.module_utils._run import (
    NOT_FOUND,
    TIMED_OUT,
    Runner,
)
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import Systemd

__all__ = [
    "Cluster",
    "PostgresqlRecovery",
    "choose",
    "clusters",
]

# In a server's words before a session has chosen its language: what they say is also asked of pg_isready.
_FULL = re.compile(r"too many clients|remaining connection slots", re.IGNORECASE)
# Exit statuses of pg_isready, by the server's SQLSTATE and not by its words; and psql's own failures.
_ACCEPTS, _REJECTS, _NO_ANSWER = 0, 1, 2
_FAILED = (1, 2, 3)
# What somebody may have written into start.conf (pg_createcluster(1)) to have a cluster left alone.
_BY_HAND = ("manual", "disabled")


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """One cluster, as C(pg_lsclusters) lists it."""

    version: str
    name: str
    port: int
    status: str
    owner: str
    data: str
    log: str

    @property
    def unit(self) -> str:
        """The unit that runs it."""
        return f"postgresql@{self.version}-{self.name}.service"


def clusters(runner: Runner) -> list[Cluster]:
    """Return the clusters of this host."""
    result = runner.run(["pg_lsclusters", "--no-header"], timeout=20)
    if not result.ok:
        raise InputError(
            "Expected Debian's pg_lsclusters to list the PostgreSQL clusters of this host, found: "
            f"{result.output or 'no answer'}."
        )
    found = []
    for line in result.stdout.splitlines():
        words = line.split()
        if len(words) >= 6 and words[2].isdigit():
            log = words[6] if len(words) > 6 else ""
            version, name, port, status, owner, data = words[:6]
            cluster = Cluster(
                version=version,
                name=name,
                port=int(port),
                status=status,
                owner=owner,
                data=data,
                log=log,
            )
            found.append(cluster)
    return found


def choose(
    found: Iterable[Cluster], *, version: str = "", name: str = "", port: int | None = None
) -> Cluster:
    """Return the one cluster that the options mean; one that is left out fits all."""
    known = list(found)
    fitting = [
        c
        for c in known
        if version in ("", c.version) and name in ("", c.name) and port in (None, c.port)
    ]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(f"{c.version}/{c.name} (port {c.port})" for c in known) or "none"
    wanted = f"{version or 'any'}/{name or 'any'} (port {port or 'any'})"
    raise InputError(
        "version, cluster, port: expected options that mean one PostgreSQL cluster of this host, "
        f"found {wanted}, and here {'are' if len(known) > 1 else 'is'} {names}. "
        "A remediation takes remediation_postgresql_version, _cluster and _port for them."
    )


@dataclass(kw_only=True)
class PostgresqlRecovery:
    """One cluster with its limits. Times in seconds, ``signs_within`` in hours."""

    cluster: Cluster
    runner: Runner
    socket: str = "/var/run/postgresql"
    superuser: str = "postgres"
    wait: float = 120.0
    settle: float = 2.0
    min_free_bytes: int = 64 * 1024 * 1024
    signs_within: float = 24.0
    automatic: bool = False
    systemd: Systemd = field(init=False)
    psql: Psql = field(init=False)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    proc: str = "/proc"
    settings: str = "/etc/postgresql"

    def __post_init__(self) -> None:
        """Prepare; a server that replays its log takes long to start, and must not be interrupted."""
        within("wait", self.wait, 0, DAY)
        within("settle", self.settle, 0, 3600)
        within("signs_within", self.signs_within, 0, 87_600)
        self.systemd = Systemd(self.runner, timeout=max(300.0, self.wait + 180))
        self.psql = Psql(
            self.runner,
            socket=self.socket,
            port=self.cluster.port,
            superuser=self.superuser,
            statement_timeout=5.0,
        )

    def ask(self) -> tuple[str, str]:
        """Return ready, starting, full, closed, slow, hung, down or unclear, and what the server said.

        C(closed) is a server that takes connections and lets us ask nothing: it serves others. C(slow) is
        one that ends the question itself when its time is over: it is at work, not hung. C(hung) is one
        whose postmaster lives and takes no connection, too. C(unclear) is our own trouble: a program that
        could not be run says nothing about the server. InputError where PostgreSQL's own are missing.
        """
        result = self.psql.run("SELECT 1;")
        said = result.output.strip()
        if result.ok and result.stdout.strip() == "1":
            return "ready", ""
        if "statement timeout" in said:
            return "slow", said
        # A server that takes the connection and then is silent: psql gives up after its own limits.
        if result.rc == TIMED_OUT or "timeout expired" in said:
            return "hung", said
        return self._without_answer(result.rc, said), said

    def _without_answer(self, rc: int, said: str) -> str:
        argv = ["pg_isready", "--quiet", f"--host={self.socket}", f"--port={self.cluster.port}"]
        answer = self.runner.run([*argv, "--timeout=5"], user=self.superuser, timeout=15)
        if NOT_FOUND in (rc, answer.rc):
            raise InputError(
                "Expected psql and pg_isready on this host, to ask the server before anything is done "
                f"to it, found: {said}. Install Debian's postgresql-client."
            )
        if answer.rc == _REJECTS or STARTING.search(said):
            return "starting"
        if rc not in _FAILED or answer.rc not in (_ACCEPTS, _NO_ANSWER):
            return "unclear"
        if answer.rc == _ACCEPTS:
            return "full" if _FULL.search(said) else "closed"
        # Before it listens only its unit knows that it is on its way.
        if self.systemd.state(self.cluster.unit).starting:
            return "starting"
        lock = self._lock_file()
        return "hung" if lock["ours"] and self._is_asked(lock["socket"]) else "down"

    def _is_asked(self, socket: str) -> bool:
        """Whether a socket's folder is the one that is asked, which has several names: /var/run is /run."""
        return not socket or Path(socket).resolve() == Path(self.socket).resolve()

    def look(self) -> dict[str, Any]:
        """Collect the evidence; a server on its way up gets its time, and one look decides nothing."""
        condition, said = confirmed(
            self.ask(), self.ask, lambda found: found[0] in ("hung", "down", "unclear"), self.sleep
        )
        started = self.clock()
        while condition == "starting" and self.clock() - started < self.wait:
            self.sleep(1.0)
            condition, said = self.ask()
        state = self.systemd.state(self.cluster.unit)
        logs = self._logs()
        lines = [line for tail in logs.values() for line in tail]
        since = datetime.fromtimestamp(time.time() - self.signs_within * 3600, UTC)
        signs, full = corruption_signs(lines, since=since)
        return {
            "condition": condition,
            "said": said[:300],
            "cluster": {**vars(self.cluster), "unit": self.cluster.unit},
            "unit": {
                "load": state.load,
                "active": state.active,
                "sub": state.sub,
                "result": state.result,
                "enabled": state.enabled,
                "says": state.describe(),
            },
            "disks": self._disks(),
            "standby": any(
                _io.lookup(f"{self.cluster.data}/{name}")
                for name in ("standby.signal", "recovery.signal")
            ),
            "lock_file": self._lock_file(),
            "start": self._start_mode(),
            "logs": list(logs),
            "corruption_signs": signs,
            "no_space_messages": full,
            "log_tail": lines[-30:],
        }

    def refusal(self, seen: Mapping[str, Any]) -> tuple[str, str]:
        """Return code and reason why a restart is not the answer; empty ones if it may be."""
        name, unit = f"{self.cluster.version}/{self.cluster.name}", self.cluster.unit
        lock, signs, said = seen["lock_file"], seen["corruption_signs"], seen["said"]
        down, active = seen["condition"] == "down", seen["unit"]["active"]
        short = [row for row in seen["disks"] if row["short"]]
        sizes = "; ".join(
            f"{row['path']} has {row['free_bytes']} bytes and {row['free_inodes']} inodes free"
            for row in short
        )
        no_room = (
            short,
            "disk_full",
            f"{sizes}. PostgreSQL needs room to recover: run the remediation of DiskFull first.",
        )
        reasons: Sequence[tuple[object, str, str]] = (
            # In a language that is not known a PANIC for want of space looks like any other.
            *([no_room] if not any(map(names_damage, signs)) else []),
            (
                signs,
                "corruption",
                f"the log of cluster {name} tells of damaged data: {(signs or [''])[-1]} Do not start it "
                "again, never run pg_resetwal: go to disaster recovery, and copy the data directory "
                f"before anything else. Lines older than {self.signs_within:g} h (signs_within) don't count.",
            ),
            no_room,
            (
                seen["unit"]["load"] == "masked",
                "masked",
                f"{unit} is masked: somebody has forbidden its start.",
            ),
            (
                seen["start"] in _BY_HAND,
                "manual",
                f"start.conf of cluster {name} says {seen['start']}: somebody else sees to it.",
            ),
            (
                seen["condition"] == "unclear",
                "unclear",
                f"nothing is known about cluster {name}, as it could not be asked: {said or '?'}. One "
                "that may be well is not restarted; is the host out of memory or processes?",
            ),
            (
                self.automatic
                and down
                and (active, seen["unit"]["result"], lock["state"])
                == ("inactive", "success", "absent"),
                "stopped",
                f"cluster {name} was stopped in order, and has not died: somebody may be at work on it. A "
                "human may start it.",
            ),
            (
                self.automatic and not seen["logs"],
                "no_log",
                f"no log of cluster {name} could be read ({self.cluster.log or 'none is known'}), and "
                "without it nobody knows whether its data are damaged. A human may go on.",
            ),
            (
                seen["condition"] == "starting",
                "recovering",
                f"cluster {name} is still starting, or replaying its log, after {self.wait:g} s ({said}). "
                "A restart would begin that anew: wait.",
            ),
            (
                seen["condition"] == "full",
                "connections",
                f"cluster {name} runs, and even the connections reserved for its superuser are taken, so "
                "nobody can look at them: stop the API for a moment (systemctl stop koprogo-api), then run "
                "the remediation of DatabaseConnectionsHigh. The API must not sign in as a superuser.",
            ),
            (
                seen["condition"] == "slow",
                "overloaded",
                f"cluster {name} lives, and has too much to do to answer a simple question: {said}. "
                "A restart would throw its work away: see what it does, by the remediation of SlowApi.",
            ),
            (
                seen["condition"] == "closed",
                "no_access",
                f"cluster {name} takes connections, and serves whoever may come in; it gave {self.superuser} "
                f"no answer on {self.socket}: {said}. Let that user in by 'peer' in pg_hba.conf; if it "
                "speaks of too many clients, free some first.",
            ),
            (
                down and lock["ours"] and not self._is_asked(lock["socket"]),
                "no_access",
                f"the postmaster of {name} runs (pid {lock['pid']}) and listens in {lock['socket']}; it was "
                f"asked in {self.socket}. Set the option socket (remediation_postgresql_socket).",
            ),
            (
                lock["state"] == "held" and not lock["ours"],
                "locked",
                f"the data directory of {name} is held by another postmaster, pid {lock['pid']}, that "
                f"{unit} did not start. Two on one directory destroy it: stop that one first.",
            ),
        )
        return next(((code, reason) for holds, code, reason in reasons if holds), ("", ""))

    def restart(self) -> tuple[str, dict[str, Any]]:
        """Restart, wait for an answer to a query, and see that it stays."""
        started, problem = self.clock(), ""
        try:
            self.systemd.restart(self.cluster.unit)
        except KoprogoError as error:
            problem = error.message
        condition, said = self.ask()
        while not problem and condition != "ready" and self.clock() - started < self.wait:
            state = self.systemd.state(self.cluster.unit)
            if state.dead:
                problem = f"it died again: {state.describe()}"
                break
            self.sleep(0.5)
            condition, said = self.ask()
        if not problem and condition == "ready":
            self.sleep(self.settle)
            condition, said = self.ask()
        if not problem and condition != "ready":
            problem = f"no answer to a query within {self.wait:g} s: {said or condition}"
        lines = [line for tail in self._logs().values() for line in tail]
        since = datetime.fromtimestamp(time.time() - self.clock() + started - 1, UTC)
        signs, _full = corruption_signs(lines, since=since)
        words = last_words(lines, since=since)
        if problem and signs:
            problem += f"; its log tells of damaged data: {signs[-1]} Go to disaster recovery"
        elif problem and words:
            problem += f"; its log says: {words}"
        return ("not_resolved" if problem else "resolved"), {
            "condition_after": condition,
            "problem": problem,
            "seconds": round(self.clock() - started, 1),
            "log_tail": lines[-30:],
        }

    def _logs(self) -> dict[str, list[str]]:
        """Return the last part of each log that could be read."""
        paths = log_paths(self.cluster.data, self.cluster.log)
        found = {path: tail_of(path) for path in paths}
        return {path: lines for path, lines in found.items() if lines is not None}

    def _start_mode(self) -> str:
        """Return what start.conf says: auto, manual or disabled; empty where there is none."""
        path = f"{self.settings}/{self.cluster.version}/{self.cluster.name}/start.conf"
        lines = (
            line.partition("#")[0].strip() for line in (_io.read_text(path) or "").splitlines()
        )
        return next(filter(None, lines), "")

    def _disks(self) -> list[dict[str, Any]]:
        """Return what is free, for an ordinary user, where data and write-ahead log are."""
        rows = []
        for path in (self.cluster.data, str(Path(self.cluster.data, "pg_wal").resolve())):
            if not Path(path).is_dir():
                continue
            free, space = shutil.disk_usage(path).free, _io.free_space(path)
            inodes = space.inodes
            rows.append(
                {
                    "path": path,
                    "free_bytes": free,
                    "free_inodes": inodes,
                    "short": free < self.min_free_bytes or (space.counts_inodes and inodes < 16),
                }
            )
        return rows

    def _lock_file(self) -> dict[str, Any]:
        """Read postmaster.pid: absent, held by a postmaster, or stale, and what that means."""
        text = _io.read_text(f"{self.cluster.data}/postmaster.pid")
        lines = (text or "").splitlines()
        found = {"state": "absent", "pid": 0, "ours": False, "socket": "", "explanation": ""}
        if text is None:
            return found
        pid = int(lines[0]) if lines and lines[0].strip().isdigit() else 0
        # Its fifth line: the first folder of unix_socket_directories.
        socket = lines[4].strip() if len(lines) > 4 else ""
        command = (_io.read_text(f"{self.proc}/{pid}/comm") or "").strip() if pid else ""
        if command in ("postgres", "postmaster"):
            ours = pid in self.systemd.pids(self.cluster.unit)
            return found | {"state": "held", "pid": pid, "ours": ours, "socket": socket}
        who = f"pid {pid} is {command} now" if command else f"no process has pid {pid}"
        return found | {
            "state": "stale",
            "pid": pid,
            "socket": socket,
            "explanation": f"postmaster.pid was left by a server that was killed; {who}. "
            "The server removes it itself when it starts.",
        }
