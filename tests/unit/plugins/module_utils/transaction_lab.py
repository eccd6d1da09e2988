"""A host in a directory: real files, a stand-in for systemd, and a way to die at any step."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._accounts import (
    group_name,
    user_name,
)
from ansible_collections.koprogo.observability.plugins.module_utils._activation import Service
from ansible_collections.koprogo.observability.plugins.module_utils._errors import ServiceError
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._sets import Store
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import UnitState
from ansible_collections.koprogo.observability.plugins.module_utils._transaction import Transaction
from ansible_collections.koprogo.observability.plugins.module_utils._transaction_options import (
    ARGUMENT_SPEC,
    Request,
)
from ansible_collections.koprogo.observability.plugins.module_utils._transaction_report import (
    Report,
)
from tests.integration.steps import Steps

UNIT = "demo.service"
# A test has no power failures, and thousands of runs.
NO_SYNC = frozenset({"fsync"})
RESTARTING = ("b.yml", "bad.yml", "z.yml", "unit.conf")


class FakeSystemd:
    """Remembers, in a file that outlives the process, what the daemon loaded."""

    def __init__(self, host: Host, before: Callable[[str], None]) -> None:
        self.host = host
        self.before = before
        self.calls: list[str] = []

    def state(self, unit: str) -> UnitState:
        active = self.host.memory().get("active", "active")
        return UnitState(
            unit=unit,
            load="loaded",
            active=active,
            sub="running" if active == "active" else "dead",
            result="success" if active == "active" else "exit-code",
            enabled="enabled",
            main_pid=1,
            restarts=self.host.memory().get("restarts", 0),
            can_reload=True,
            need_daemon_reload=False,
            control_group="",
            exit_status=0,
        )

    def daemon_reload(self) -> None:
        self._call("daemon-reload")
        self.host.remember(units=self.host.linked())

    def restart(self, unit: str) -> None:
        self._call("restart")
        self._load("restart")

    def reload(self, unit: str) -> None:
        self._call("reload")
        self._load("reload")

    def signal(self, unit: str, signal: str) -> None:
        self._call(f"signal {signal}")
        self._load("reload")

    def stop(self, unit: str) -> None:
        self._call("stop")
        if self.host.memory().get("active") != "failed":
            self.host.remember(active="inactive")

    def journal(self, unit: str, *, lines: int = 15) -> list[str]:
        return ["the daemon's last words"]

    def _call(self, name: str) -> None:
        self.before(name)
        self.calls.append(name)

    def _load(self, how: str) -> None:
        content = self.host.content()
        refused = any("refused" in text for text in content.values())
        if refused or self.host.memory().get("broken"):
            if how == "restart":
                self.host.remember(active="failed")
            raise ServiceError(f"{UNIT} does not {how}: refused")
        self.host.remember(active="active", loaded=content, through_links=self.host.linked())


class Host:
    """A directory with ``etc/koprogo`` and ``etc/systemd`` below it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = root / "etc" / "koprogo"
        self.systemd = root / "etc" / "systemd"
        self.systemd.mkdir(parents=True)
        self._memory = root / "memory.json"
        self.owner = user_name(os.getuid())
        self.group = group_name(os.getgid())
        self.store = Store("demo", base=str(self.base))
        self.manager: FakeSystemd | None = None

    def memory(self) -> dict[str, Any]:
        if not self._memory.exists():
            return {}
        content: dict[str, Any] = json.loads(self._memory.read_text())
        return content

    def remember(self, **items: Any) -> None:
        self._memory.write_text(json.dumps({**self.memory(), **items}))

    def request(
        self,
        files: Mapping[str, str] | None = None,
        *,
        links: Mapping[str, str] | None = None,
        file_options: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> Request:
        """Make a request; link names are relative to ``etc/systemd``."""
        rows = []
        for path, content in (files or {}).items():
            row: dict[str, Any] = {"path": path, "content": content, "secret": False}
            row["on_change"] = "restart" if path in RESTARTING else "reload"
            rows.append({**row, **(file_options or {}).get(path, {})})
        given: dict[str, Any] = {name: spec.get("default") for name, spec in ARGUMENT_SPEC.items()}
        given |= {
            "name": "demo",
            "owner": self.owner,
            "group": self.group,
            "files": rows,
            "links": {str(self.systemd / name): to for name, to in (links or {}).items()},
            "unit": UNIT,
            "state": "present" if files else "absent",
        }
        return Request.from_options(given | options)

    def run(
        self,
        request: Request,
        *,
        before: Callable[[str], None] = lambda _step: None,
        check_mode: bool = False,
        runner: Runner | None = None,
    ) -> Report:
        """Run one transaction, calling ``before`` ahead of each of its steps."""
        self.manager = FakeSystemd(self, before)
        with mock.patch.object(_io, "os", Steps(before, skip=NO_SYNC)):
            return Transaction(
                request,
                store=self.store,
                runner=runner or Runner(masker=request.masker()),
                service=Service(
                    request, self.manager, masker=request.masker(), sleep=lambda _seconds: None
                ),
                check_mode=check_mode,
                want_diff=True,
                systemd=str(self.systemd),
            ).run()

    def run_and_die(self, request: Request, *, at: int) -> bool:
        """Run in a child that SIGKILLs itself before step number ``at``; False if it ended first."""
        child = os.fork()
        if child == 0:
            left = at

            def before(_step: str) -> None:
                nonlocal left
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1

            try:
                self.run(request, before=before)
            finally:
                os._exit(0)
        _pid, status = os.waitpid(child, 0)
        return os.WIFSIGNALED(status)

    # What is there

    def content(self) -> dict[str, str]:
        """The active set as a daemon sees it, without our manifest."""
        link = self.base / "demo"
        if not link.is_dir():
            return {}
        return {
            str(path.relative_to(link)): path.read_text()
            for path in sorted(link.rglob("*"))
            if path.is_file() and path.name != ".manifest.json"
        }

    def linked(self) -> dict[str, str]:
        """The links elsewhere that lead to a file, and what a reader finds there."""
        return {
            str(path.relative_to(self.systemd)): path.read_text()
            for path in sorted(self.systemd.rglob("*"))
            if path.is_symlink() and path.is_file()
        }

    def links(self) -> set[str]:
        return {
            str(path.relative_to(self.systemd))
            for path in self.systemd.rglob("*")
            if path.is_symlink()
        }

    def leftovers(self) -> list[str]:
        """Everything of ours that a finished run does not leave behind."""
        sets = self.base / ".sets"
        names = {path.name for path in sets.iterdir()} if sets.is_dir() else set()
        if self.base.joinpath("demo").is_symlink():
            names -= {".demo.lock"}
        complete = {name for name in names if name.startswith("demo-") and "." not in name}
        strays = sorted(names - complete)
        strays += sorted(path.name for path in self.base.glob(".demo*"))
        strays += [str(path) for path in self.systemd.rglob(".*")]
        if len(complete) > 2:
            strays.append(f"{len(complete)} sets")
        return strays

    def snapshot(self) -> dict[str, tuple[object, ...]]:
        """Everything below ``etc``, to show that nothing changed."""
        found: dict[str, tuple[object, ...]] = {}
        for path in sorted((self.root / "etc").rglob("*")):
            status = path.lstat()
            text = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            target = str(path.readlink()) if path.is_symlink() else ""
            found[str(path)] = (status.st_mode, status.st_uid, status.st_gid, text, target)
        return found
