# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host shows of the stack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils import _stack_host
from ansible_collections.koprogo.observability.plugins.module_utils._run import Result
from ansible_collections.koprogo.observability.plugins.module_utils._sockets import Socket
from ansible_collections.koprogo.observability.plugins.module_utils._stack_host import (
    Unit,
    hardening,
    sockets,
    units,
    write_marks,
)

NOW = 10_000.0
OURS = Unit(unit="a.service", port=9100, max_exposure=2.0)
DOOR = Unit(unit="a.service", port=9998, doors=(9998,), max_exposure=2.0)


class FakeRunner:
    """Answers with a text and remembers what was asked."""

    def __init__(self, stdout: str = "", rc: int = 0, stderr: str = "") -> None:
        self.result = Result(argv=["x"], rc=rc, stdout=stdout, stderr=stderr, seconds=0.0)
        self.asked: list[list[str]] = []

    def run(self, argv: list[str], **_options: Any) -> Result:
        self.asked.append(argv)
        return self.result


def shown(**properties: str) -> str:
    """What systemctl show prints for one unit."""
    values = {
        "Id": "a.service",
        "LoadState": "loaded",
        "ActiveState": "active",
        "SubState": "running",
        "UnitFileState": "enabled",
        "NRestarts": "0",
        "ActiveEnterTimestampMonotonic": "0",
    }
    return "".join(f"{k}={v}\n" for k, v in (values | properties).items())


@pytest.mark.parametrize(
    ("properties", "evidence"),
    [
        ({"LoadState": "not-found", "ActiveState": "inactive"}, "a.service: not-found"),
        ({"LoadState": "masked", "ActiveState": "inactive"}, "a.service: masked"),
        ({"ActiveState": "failed", "SubState": "failed"}, "a.service: failed (failed)"),
        (
            {"ActiveState": "activating", "SubState": "auto-restart"},
            "a.service: activating (auto-restart)",
        ),
        ({"UnitFileState": "disabled"}, "runs but is disabled: it won't be there after a reboot"),
        (
            {"NRestarts": "3", "ActiveEnterTimestampMonotonic": str(int((NOW - 4) * 1e6))},
            "keeps restarting: 3 times by itself, the last 4 s ago",
        ),
    ],
)
def test_units_that_do_not_run_well(properties: dict[str, str], evidence: str) -> None:
    runner: Any = FakeRunner(shown(**properties))
    checks = units(runner, "h", [OURS], now=NOW)
    assert [c.result for c in checks] == ["failed"]
    assert evidence in checks[0].evidence
    assert "journalctl -u a.service" in checks[0].look


def test_units_with_the_same_problem_share_a_finding() -> None:
    gone = shown(LoadState="not-found")
    runner: Any = FakeRunner(f"{gone}\n{gone}\n{shown(UnitFileState='disabled')}")
    wanted = [Unit(unit=f"{name}.service") for name in "abc"]
    checks = units(runner, "h", wanted, now=NOW)
    assert [c.evidence[:32] for c in checks] == [
        "a.service, b.service: not-found",
        "c.service: runs but is disabled:",
    ]
    assert "journalctl -u a.service -u b.service" in checks[0].look


def test_units_are_asked_in_one_call_and_an_old_restart_is_forgiven() -> None:
    text = shown() + "\n" + shown(Id="real-b.service", NRestarts="1")
    runner: Any = FakeRunner(text)
    checks = units(runner, "h", [OURS, Unit(unit="b.service")], now=NOW)
    assert [c.evidence for c in checks] == ["2 enabled, active, not restarting"]
    assert len(runner.asked) == 1


@pytest.mark.parametrize(
    ("exposure", "result"), [("1.1", "passed"), ("2.0", "passed"), ("2.1", "failed")]
)
def test_hardening(exposure: str, result: str) -> None:
    rows = [{"unit": "a.service", "exposure": exposure}, {"unit": "ssh.service", "exposure": "9.6"}]
    runner: Any = FakeRunner(json.dumps(rows))
    assert [c.result for c in hardening(runner, "h", [OURS, Unit(unit="ssh.service")])] == [result]


def test_hardening_without_an_answer() -> None:
    runner: Any = FakeRunner("", rc=1, stderr="no bus")
    assert hardening(runner, "h", [OURS])[0].result == "failed"
    assert hardening(runner, "h", [Unit(unit="api.service")]) == []


class FakeSystemd:
    """Has a process."""

    def __init__(self, *, running: bool = True) -> None:
        self.running = running

    def pids(self, _unit: str) -> list[int]:
        return [1] if self.running else []


class FakeTable:
    """Has sockets."""

    def __init__(self, *listeners: tuple[str, int]) -> None:
        self.found = [Socket(protocol="tcp", address=a, port=p) for a, p in listeners]
        self.found.append(Socket(protocol="udp", address="*", port=53))

    def of(self, _pids: list[int]) -> list[Socket]:
        return self.found


@pytest.mark.parametrize(
    ("unit", "listeners", "evidence"),
    [
        (OURS, [("127.0.0.1", 9100)], ""),
        (OURS, [("::1", 9100)], ""),
        (OURS, [("*", 9100)], "listens on *:9100, expected loopback or a door"),
        (OURS, [("127.0.0.1", 9100), ("192.0.2.1", 9100)], "listens on 192.0.2.1:9100"),
        (OURS, [("127.0.0.1", 9101)], "listens on 127.0.0.1:9101, expected port 9100"),
        (OURS, [], "listens on nothing, expected port 9100"),
        (DOOR, [("192.0.2.1", 9998)], ""),
        (DOOR, [("*", 9998)], "expected loopback or a door"),
        (DOOR, [("192.0.2.2", 9998)], "expected loopback or a door"),
        (DOOR, [("192.0.2.1", 9998), ("192.0.2.1", 9999)], "listens on 192.0.2.1:9999"),
    ],
)
def test_sockets(unit: Unit, listeners: list[tuple[str, int]], evidence: str) -> None:
    systemd: Any = FakeSystemd()
    table: Any = FakeTable(*listeners)
    checks = sockets(systemd, table, "h", [unit], ["192.0.2.1"])
    assert [c.result for c in checks] == ["failed" if evidence else "passed"]
    assert evidence in checks[0].evidence


def test_a_unit_that_is_down_is_not_blamed_for_its_sockets_too() -> None:
    systemd: Any = FakeSystemd(running=False)
    table: Any = FakeTable()
    assert [c.result for c in sockets(systemd, table, "h", [OURS], [])] == ["passed"]


def test_units_of_others_may_listen_anywhere() -> None:
    systemd: Any = FakeSystemd()
    table: Any = FakeTable(("*", 22))
    assert [c.result for c in sockets(systemd, table, "h", [Unit(unit="api.service")], [])] == [
        "passed"
    ]


def test_the_api_line_has_what_the_queries_select_and_accuses_nobody(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    log.write_text("before\n")
    runner: Any = FakeRunner()
    logs = [{"job": "koprogo-api", "kind": "json", "path": str(log)}]
    checks, marks = write_marks(runner, "h", logs, "t0ken")
    before, line = log.read_text().splitlines()
    fields = json.loads(line)
    assert before == "before"
    assert [c.result for c in checks] == ["passed"]
    assert (marks[0]["job"], marks[0]["host"], marks[0]["token"]) == ("koprogo-api", "h", "t0ken")
    assert "t0ken" in line
    assert "ERROR" in line
    assert "401" in line
    assert fields["path"] == "/api/v1/auth/login"
    assert fields["duration_ms"] > 1000
    assert fields["level"] == "INFO"
    assert line.startswith('{"remote_addr":"-"')


def test_a_log_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    runner: Any = FakeRunner()
    logs = [{"job": "koprogo-api", "kind": "json", "path": str(log)}]
    checks, marks = write_marks(runner, "h", logs, "t")
    assert not log.exists()
    assert marks == []
    assert checks[0].evidence == f"log 'koprogo-api': {log}: No such file or directory"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("")
    (tmp_path / "api.log").symlink_to(tmp_path / "target")
    runner: Any = FakeRunner()
    logs = [{"job": "koprogo-api", "kind": "json", "path": str(tmp_path / "api.log")}]
    assert write_marks(runner, "h", logs, "t")[1] == []
    assert (tmp_path / "target").read_text() == ""


@pytest.mark.parametrize(("kind", "command"), [("journal", "logger"), ("postgresql", "psql")])
def test_commands_write_the_other_logs(kind: str, command: str) -> None:
    runner: Any = FakeRunner()
    _checks, marks = write_marks(runner, "h", [{"job": "x", "kind": kind}], "t0ken")
    assert len(marks) == 1
    assert runner.asked[0][0] == command
    assert any("t0ken" in word for word in runner.asked[0])
    broken: Any = FakeRunner(rc=2, stderr="no server")
    checks, marks = write_marks(broken, "h", [{"job": "x", "kind": kind}], "t0ken")
    assert marks == []
    assert "no server" in checks[0].evidence


def test_a_units_own_entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import socket

    address = str(tmp_path / "journal")
    monkeypatch.setattr(_stack_host, "_JOURNAL", address)
    runner: Any = FakeRunner("MainPID=4711\n")
    logs = [{"job": "node", "kind": "unit", "path": "node.service"}]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(address)
        assert len(write_marks(runner, "h", logs, "t0ken")[1]) == 1
        entry = journal.recv(4096).decode()
    assert "OBJECT_PID=4711\n" in entry
    assert "t0ken" in entry
    dead: Any = FakeRunner("MainPID=0\n")
    checks, marks = write_marks(dead, "h", logs, "t0ken")
    assert marks == []
    assert "node.service has no main process" in checks[0].evidence
