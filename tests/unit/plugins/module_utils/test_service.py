# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils import _service
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    ServiceError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._service import (
    Keeper,
    Process,
    drop_ins,
    stale_reasons,
    with_journal,
)
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import Systemd
from tests.unit.plugins.module_utils.install_lab import ListeningRunner

LIVING = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "Result": "success",
    "UnitFileState": "enabled",
    "MainPID": "4711",
    "NRestarts": "0",
    "NeedDaemonReload": "no",
    "ExecMainStatus": "0",
    "Type": "simple",
    "DropInPaths": "",
    "FragmentPath": "",
    "ExecStart": "",
}
DEAD = {"ActiveState": "inactive", "SubState": "dead", "MainPID": "0"}
LOOPING = {
    "ActiveState": "activating",
    "SubState": "auto-restart",
    "Result": "exit-code",
    "MainPID": "0",
}


class Manager:
    """A systemd with one unit: a dictionary, and what each verb makes of it."""

    def __init__(self, **start: str) -> None:
        self.unit = {**LIVING, **start}
        self.effects: dict[str, dict[str, str]] = {
            "start": {"ActiveState": "active", "SubState": "running", "MainPID": "4712"},
            "restart": {"MainPID": "4713"},
            "stop": dict(DEAD),
            "enable": {"UnitFileState": "enabled"},
            "disable": {"UnitFileState": "disabled"},
            "unmask": {"LoadState": "loaded", "UnitFileState": "enabled"},
            "daemon-reload": {"NeedDaemonReload": "no"},
        }
        self.refused: set[str] = set()
        self.later: list[dict[str, str]] = []
        self.verbs: list[str] = []
        self.now = 0.0

    def answer(self, argv: list[str]) -> tuple[int, str]:
        if argv[0] == "journalctl":
            return (
                0,
                "Started x.service.\nbind: address already in use\nx.service: Main process exited\n",
            )
        if argv[1] == "show":
            return 0, "".join(f"{key}={value}\n" for key, value in self.unit.items())
        verb = next(word for word in argv[1:] if not word.startswith("-"))
        if verb != "reset-failed":
            self.verbs.append(verb)
        if verb in self.refused:
            return 1, "Job failed."
        self.unit |= self.effects.get(verb, {})
        return 0, ""

    def sleep(self, seconds: float) -> None:
        """Time passes, only here: the unit goes on to its next state."""
        self.now += seconds
        if self.later:
            self.unit |= self.later.pop(0)

    def keep(
        self, state: str = "started", *, enabled: bool | None = True, check: bool = False
    ) -> dict[str, Any]:
        self.verbs.clear()
        systemd = Systemd(ListeningRunner(self.answer))
        keeper = Keeper(
            systemd,
            "x.service",
            check=check,
            settle=1.0,
            sleep=self.sleep,
            clock=lambda: self.now,
        )
        if state == "started":
            keeper.started(enabled=enabled)
        else:
            keeper.stopped(enabled=enabled)
        return keeper.result()


@pytest.fixture(autouse=True)
def no_real_units(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_service, "_UNIT_FOLDERS", (str(tmp_path / "units"),))


@pytest.mark.parametrize(
    ("start", "state", "enabled", "verbs"),
    [
        ({}, "started", True, []),
        ({}, "started", None, []),
        (DEAD, "started", True, ["start"]),
        ({**DEAD, "UnitFileState": "disabled"}, "started", True, ["enable", "start"]),
        ({**DEAD, "UnitFileState": "disabled"}, "started", None, ["start"]),
        ({"UnitFileState": "enabled-runtime"}, "started", True, ["enable"]),
        ({"UnitFileState": "static"}, "started", True, []),
        ({}, "started", False, ["disable"]),
        (
            {**DEAD, "LoadState": "masked", "UnitFileState": "masked"},
            "started",
            True,
            ["unmask", "daemon-reload", "start"],
        ),
        ({"NeedDaemonReload": "yes"}, "started", True, ["daemon-reload", "restart"]),
        ({**DEAD, "NeedDaemonReload": "yes"}, "started", True, ["daemon-reload", "start"]),
        (
            {"ActiveState": "failed", "SubState": "failed", "MainPID": "0"},
            "started",
            True,
            ["start"],
        ),
        ({}, "stopped", False, ["stop", "disable"]),
        ({}, "stopped", None, ["stop"]),
        (LOOPING, "stopped", None, ["stop"]),
        (DEAD, "stopped", None, []),
        ({**DEAD, "UnitFileState": "disabled"}, "stopped", False, []),
        ({**DEAD, "LoadState": "not-found"}, "stopped", False, []),
        # Their files were removed while they ran.
        ({"LoadState": "not-found"}, "stopped", False, ["stop"]),
        ({"LoadState": "not-found", "ActiveState": "failed"}, "stopped", False, ["stop"]),
    ],
)
def test_what_is_done(
    start: dict[str, str], state: str, enabled: bool | None, verbs: list[str]
) -> None:
    manager = Manager(**start)
    predicted = manager.keep(state, enabled=enabled, check=True)
    assert manager.verbs == [], "check mode touches nothing"
    result = manager.keep(state, enabled=enabled)
    assert manager.verbs == verbs
    assert predicted["changed"] == result["changed"] == bool(verbs)
    assert predicted["action"] == result["action"]
    if start.get("LoadState") != "not-found":
        assert not manager.keep(state, enabled=enabled)["changed"], (
            "the second run has nothing to do"
        )


class TestNotInstalled:
    def test_check_mode_on_a_fresh_host(self) -> None:
        result = Manager(LoadState="not-found").keep(check=True)
        assert result["changed"]
        assert "does not exist yet" in result["notes"][0]

    def test_real_run(self) -> None:
        with pytest.raises(ServiceError, match="expected a unit of this name, found none"):
            Manager(LoadState="not-found").keep()

    def test_systemd_may_only_have_to_look_again(self) -> None:
        manager = Manager(**DEAD, LoadState="not-found")
        manager.effects["daemon-reload"] = {"LoadState": "loaded"}
        assert manager.keep()["action"] == "start"


class TestDeath:
    def test_refused_by_systemd(self) -> None:
        manager = Manager(**DEAD)
        manager.refused = {"start"}
        with pytest.raises(ServiceError, match=r"x.service could not be started") as caught:
            manager.keep()
        assert caught.value.evidence["journal"]

    @pytest.mark.parametrize(
        "later",
        [
            [
                {
                    "ActiveState": "failed",
                    "SubState": "failed",
                    "MainPID": "0",
                    "Result": "exit-code",
                }
            ],
            [LOOPING],
            [{}, {}, LOOPING],
            [{"NRestarts": "1", "MainPID": "4800"}],
            [{"NRestarts": "1"}],
            # Between two looks it died and came back.
            [{"MainPID": "4800"}],
            [DEAD],
        ],
    )
    def test_a_crash_loop_is_no_success(self, later: list[dict[str, str]]) -> None:
        manager = Manager(**DEAD)
        manager.later = [dict(item) for item in later]
        with pytest.raises(ServiceError) as caught:
            manager.keep()
        first, _newline, rest = caught.value.message.partition("\n")
        assert first.startswith("x.service died right after its start: it is ")
        assert rest.strip() == "bind: address already in use"

    def test_a_task_that_ends_well(self) -> None:
        manager = Manager(**DEAD, Type="oneshot")
        manager.effects["start"] = {}
        assert manager.keep()["changed"]

    def test_a_loop_under_way_is_noticed_without_a_start(self) -> None:
        now = str(int((time.monotonic() - 0.01) * 1e6))
        manager = Manager(NRestarts="7", ExecMainStartTimestampMonotonic=now)
        manager.later = [dict(LOOPING, NRestarts="8")]
        with pytest.raises(ServiceError, match="died right after its start"):
            manager.keep()

    def test_old_restarts_are_history(self) -> None:
        manager = Manager(NRestarts="7", ExecMainStartTimestampMonotonic="1")
        assert not manager.keep()["changed"]


class TestStale:
    """Real processes and files: what runs against what is on the disk."""

    @pytest.fixture
    def running(self, tmp_path: Path) -> Callable[..., Process]:
        (tmp_path / "proc/7").mkdir(parents=True)

        def make(
            program: Path, exe: str, *, started: float | None = None, files: tuple[str, ...] = ()
        ) -> Process:
            (tmp_path / "proc/7/exe").symlink_to(exe)
            return Process(
                pid=7,
                started=time.time() + 60 if started is None else started,
                program=str(program),
                unit_files=files,
            )

        return make

    def elf(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("/bin/true", path)
        return path

    def test_the_same_program(self, tmp_path: Path, running: Callable[..., Process]) -> None:
        tool = self.elf(tmp_path / "tool")
        assert stale_reasons(running(tool, str(tool)), proc=tmp_path / "proc") == []

    def test_replaced_by_a_package(self, tmp_path: Path, running: Callable[..., Process]) -> None:
        tool = self.elf(tmp_path / "tool")
        reasons = stale_reasons(running(tool, f"{tool} (deleted)"), proc=tmp_path / "proc")
        assert reasons == [f"the running program {tool} was replaced or removed"]

    def test_another_version_of_an_archive(
        self, tmp_path: Path, running: Callable[..., Process]
    ) -> None:
        old, new = self.elf(tmp_path / "1/tool"), self.elf(tmp_path / "2/tool")
        link = tmp_path / "link"
        link.symlink_to(new)
        reasons = stale_reasons(running(link, str(old)), proc=tmp_path / "proc")
        assert reasons == [f"{old} is running, {new} is installed"]

    def test_a_launcher_is_not_compared(
        self, tmp_path: Path, running: Callable[..., Process]
    ) -> None:
        process = running(self.elf(tmp_path / "env"), str(self.elf(tmp_path / "sleep")))
        assert stale_reasons(process, proc=tmp_path / "proc") == []

    def test_a_removed_program_is_left_alone(
        self, tmp_path: Path, running: Callable[..., Process]
    ) -> None:
        process = running(tmp_path / "gone", f"{tmp_path}/gone (deleted)")
        assert stale_reasons(process, proc=tmp_path / "proc") == []

    def test_programs_in_memory_are_always_deleted(
        self, tmp_path: Path, running: Callable[..., Process]
    ) -> None:
        process = running(self.elf(tmp_path / "tool"), "/memfd:runc (deleted)")
        assert stale_reasons(process, proc=tmp_path / "proc") == []

    def test_a_script(self, tmp_path: Path, running: Callable[..., Process]) -> None:
        script = tmp_path / "script"
        script.write_text("#!/bin/sh\n")
        process = running(script, "/bin/sh", started=time.time() - 60)
        assert stale_reasons(process, proc=tmp_path / "proc") == [
            f"{script} changed after the start"
        ]
        later = Process(pid=7, started=time.time() + 60, program=str(script), unit_files=())
        assert stale_reasons(later, proc=tmp_path / "proc") == []

    def test_a_changed_unit_file(self, tmp_path: Path) -> None:
        unit = tmp_path / "x.service"
        unit.write_text("[Unit]")
        os.utime(unit, (1, 1))  # a package's file is as old as its build

        def reasons(started: float) -> list[str]:
            return stale_reasons(
                Process(pid=0, started=started, program="", unit_files=(str(unit), "/nowhere"))
            )

        assert len(reasons(time.time() - 60)) == 1
        assert reasons(time.time() + 60) == []

    def test_a_file_carried_over_to_a_new_set(self, tmp_path: Path) -> None:
        """The inode changes with each hard link, the content does not."""
        old, new = tmp_path / "etc/koprogo/.sets/1", tmp_path / "etc/koprogo/.sets/2"
        old.mkdir(parents=True)
        new.mkdir()
        (old / "systemd.conf").write_text("[Service]")
        long_ago = time.time() - 3600
        os.utime(old / "systemd.conf", (long_ago, long_ago))
        os.link(old / "systemd.conf", new / "systemd.conf")
        current = tmp_path / "etc/koprogo/x"
        current.symlink_to(".sets/2")
        drop_in = tmp_path / "50.conf"
        drop_in.symlink_to(tmp_path / "etc/koprogo/x/systemd.conf")
        os.utime(drop_in, (long_ago, long_ago), follow_symlinks=False)
        process = Process(pid=0, started=time.time() - 60, program="", unit_files=(str(drop_in),))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_service, "_SETS", str(tmp_path / "etc/koprogo/"))
            assert stale_reasons(process) == []
            (new / "systemd.conf").unlink()
            (new / "systemd.conf").write_text("[Service]\nNice=1")
            assert len(stale_reasons(process)) == 1


def test_drop_ins_as_systemd_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_service, "_UNIT_FOLDERS", ("etc", "lib"))
    for name in (
        "etc/x.service.d/10.conf",
        "lib/x.service.d/10.conf",
        "lib/x.service.d/20.conf",
        "lib/x.service.d/30.conf",
        "lib/y.service.d/10.conf",
        "etc/x.service.d/README",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "etc/x.service.d/20.conf").symlink_to("/dev/null")
    (tmp_path / "etc/x.service.d/40.conf").symlink_to("/nowhere")
    found = drop_ins("x.service", root=tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in found.values()] == [
        "etc/x.service.d/10.conf",
        "lib/x.service.d/30.conf",
    ]


def test_an_unread_drop_in_means_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "units/x.service.d"
    folder.mkdir(parents=True)
    (folder / "10.conf").touch()
    manager = Manager()
    manager.effects["daemon-reload"] = {"DropInPaths": str(folder / "10.conf")}
    assert manager.keep()["action"] == "restart"
    assert manager.verbs == ["daemon-reload", "restart"]
    assert not manager.keep()["changed"]


def test_the_service_is_quoted_and_not_systemd() -> None:
    lines = [
        "Starting x.service...",
        "listen: in use",
        "x.service: Failed with result 'exit-code'.",
        "",
    ]
    assert with_journal("It died.", lines) == "It died. Its journal ends with:\n  listen: in use"
    assert with_journal("It died.", []) == "It died."


def test_a_pattern_is_no_unit_to_keep() -> None:
    with pytest.raises(InputError, match=r"^unit: expected the name of one unit"):
        Keeper(Systemd(ListeningRunner(lambda _argv: (0, ""))), "koprogo-*", check=False)
