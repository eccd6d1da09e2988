"""What systemd and the kernel's tables say, read from recorded texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    ServiceError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Result, Runner
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import (
    Systemd,
    one_unit,
)

SHOW = """Id=demo.service
LoadState=loaded
ActiveState=activating
SubState=auto-restart
Result=exit-code
NRestarts=4
MainPID=0
ExecMainStatus=2
CanReload=yes
NeedDaemonReload=no
ControlGroup=/system.slice/demo.service
Unasked=1
"""


class Recorded(Runner):
    """Answers from a table by the first words of a command."""

    def __init__(self, answers: dict[str, tuple[int, str]]) -> None:
        super().__init__()
        self.answers = answers
        self.argv: list[list[str]] = []

    def run(self, argv: Sequence[str], **_options: Any) -> Result:
        self.argv.append(list(argv))
        text = " ".join(argv)
        for key, (rc, output) in self.answers.items():
            if key in text:
                return Result(argv=list(argv), rc=rc, stdout=output, stderr="", seconds=0.0)
        return Result(argv=list(argv), rc=0, stdout="", stderr="", seconds=0.0)


@pytest.mark.parametrize(
    "name",
    ["koprogo-api.service", "koprogo-api", "postgresql@15-main.service", "postgresql@15-main", "-.mount",
     r"disk-by\x2duuid.swap", r"a@b\x2dc@d.service", "dbus-org.freedesktop.timer1.service", "a_b:c.timer"],
)  # fmt: skip
def test_one_unit_has_a_name(name: str) -> None:
    one_unit(name)


@pytest.mark.parametrize(
    "name",
    ["koprogo-*", "*.service", "koprogo-api.servic?", "koprogo-[ab].service", "a.service b.service", "",
     ".service", "postgresql@.service", "postgresql@", "@15.service", "/srv", "../a.service", "a.service\n",
     "ä.service", "a" * 248 + ".service"],
)  # fmt: skip
def test_what_names_no_unit_or_several_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"^unit: expected the name of one unit, .* found '"):
        one_unit(name)


def test_a_crash_loop_is_described() -> None:
    state = Systemd(Recorded({"show": (0, SHOW)})).state("demo.service")
    assert (state.active, state.restarts, state.running, state.dead) == (
        "activating",
        4,
        False,
        False,
    )
    assert state.describe() == (
        "demo.service is activating (auto-restart, result exit-code, exit status 2, "
        "restarted 4 times)"
    )


def test_a_unit_that_does_not_exist() -> None:
    state = Systemd(Recorded({"show": (0, "LoadState=not-found\n")})).state("x.service")
    assert not state.exists
    assert state.describe() == "x.service does not exist"


def test_a_failure_carries_the_journal() -> None:
    runner = Recorded({"restart": (1, "Job failed"), "journalctl": (0, "one\ntwo\n")})
    with pytest.raises(
        ServiceError, match=r"systemctl restart demo\.service failed with 1"
    ) as caught:
        Systemd(runner).restart("demo.service")
    assert caught.value.evidence["journal"] == ["one", "two"]
    assert ["systemctl", "--no-ask-password", "reset-failed", "--", "demo.service"] in runner.argv


def test_a_dead_process_last_words_that_the_journal_gives_to_nobody() -> None:
    def entry(message: object, moment: int, **fields: str) -> str:
        return json.dumps({"MESSAGE": message, "__MONOTONIC_TIMESTAMP": str(moment), **fields})

    nobodys = "\n".join(
        [
            entry("of a process that had the number before", 1_000_000),
            entry("cannot bind", 100_200_000),
            # As long output is cut.
            '{"MESSAGE":"a part',
            "[...]",
            entry([255, 0], 100_300_000),
            entry("port taken", 100_350_000, _SYSTEMD_UNIT="init.scope"),
            entry("known already", 100_400_000, _SYSTEMD_UNIT="demo.service"),
        ]
    )
    dead = "Id=demo.service\nMainPID=0\nExecMainPID=77\nExecMainStartTimestampMonotonic=100000000\n"
    answers = {"show": (0, dead), "_PID=77": (0, nobodys), "--unit": (0, "Started\n")}
    runner = Recorded(answers)
    assert Systemd(runner).journal("demo.service") == ["Started", "cannot bind", "port taken"]
    assert Systemd(runner).journal("demo") == ["Started", "cannot bind", "port taken"]
    runner.answers["show"] = (0, dead.replace("MainPID=0", "MainPID=77", 1))
    assert Systemd(runner).journal("demo.service") == ["Started"]
    runner.answers |= {"show": (0, dead), "_PID=77": (1, "no journal")}
    assert Systemd(runner).journal("demo.service") == ["Started"]


def test_no_systemd_at_all() -> None:
    with pytest.raises(ServiceError, match="Is systemd running"):
        Systemd(Recorded({"show": (1, "System has not been booted")})).state("x.service")


@pytest.mark.parametrize("hierarchy", ["", "/unified", "/systemd"], ids=["v2", "hybrid", "v1"])
def test_a_units_processes(tmp_path: Path, hierarchy: str) -> None:
    group = tmp_path / f"cgroup{hierarchy}" / "system.slice" / "demo.service"
    (group / "child").mkdir(parents=True)
    (group / "cgroup.procs").write_text("10\n")
    (group / "child" / "cgroup.procs").write_text("11\n")
    systemd = Systemd(Recorded({"show": (0, SHOW)}), cgroups=str(tmp_path / "cgroup"))
    assert systemd.pids("demo.service") == [10, 11]
