"""Who presses a host, read from a made-up /proc, and who may be touched for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._pressure import (
    Pressure,
    Sample,
)
from ansible_collections.koprogo.observability.plugins.module_utils._relief import Relief, matches
from ansible_collections.koprogo.observability.plugins.module_utils._run import Result, Runner

API = "koprogo-api.service"


class Host(Runner):
    """Answers with units that run; remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self.weight = "[not set]"

    def run(self, argv: Sequence[str], **_options: Any) -> Result:
        text = " ".join(argv)
        out = ""
        if "systemctl show" in text:
            out = (
                f"LoadState=loaded\nActiveState=active\nSubState=running\nCPUWeight={self.weight}\n"
            )
        elif "systemctl" in text:
            self.told.append(text)
        return Result(argv=list(argv), rc=0, stdout=out, stderr="", seconds=0.0)


class Proc:
    """A /proc of two moments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 0.0
        self.later: Callable[[], None] = lambda: None
        self.write("stat", "cpu  100 0 100 800 0 0 0 0\n")
        self.write("meminfo", "MemTotal: 1000000 kB\nMemAvailable: 50000 kB\nSwapTotal: 0 kB\n")
        self.write("loadavg", "4.00 2.00 1.00 3/99 1\n")
        self.write("vmstat", "pgfault 1\noom_kill 2\n")
        self.write("uptime", "1000.0 1\n")
        self.write("pressure/memory", "some avg10=12.50 avg60=8.00 avg300=1.00 total=1\n")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def process(
        self, pid: int, group: str, *, ticks: int, kib: int, name: str = "a) b", shared: int = 0
    ) -> None:
        fields = [
            "S",
            *["0"] * 10,
            str(ticks),
            "0",
            "0",
            "0",
            "20",
            "0",
            "1",
            "0",
            "90000",
            "0",
            "1",
        ]
        self.write(f"{pid}/stat", f"{pid} ({name}) {' '.join(fields)} 0 0\n")
        self.write(f"{pid}/status", f"Name: x\nRssAnon:\t {kib} kB\nRssShmem:\t {shared} kB\n")
        self.write(f"{pid}/cgroup", group)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.later()

    def pressure(self) -> Pressure:
        return Pressure(Host(), proc=str(self.folder), sleep=self.sleep, clock=lambda: self.now)


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    made = Proc(tmp_path)
    v2 = f"0::/system.slice/{API}\n"
    v1 = "12:memory:/system.slice/other.service\n1:name=systemd:/system.slice/other.service\n0::/\n"
    made.process(10, v2, ticks=100, kib=500_000, name="koprogo-api")
    made.process(11, v2, ticks=0, kib=100_000, name="worker")
    made.process(12, v1, ticks=0, kib=10_000)
    made.process(13, "0::/user.slice/user-0.slice/session-1.scope\n", ticks=0, kib=1)

    def later() -> None:
        made.process(10, v2, ticks=250, kib=501_000, name="koprogo-api")
        made.write("stat", "cpu  250 0 100 830 10 0 0 10\n")

    made.later = later
    return made


def test_units_by_what_they_use_on_both_kinds_of_cgroups(proc: Proc) -> None:
    sample = proc.pressure().sample(2.0)
    first = sample.top("cpu")[0].as_dict()
    assert first["unit"] == API
    assert first["cpu"] == pytest.approx(0.75)
    assert first["memory_bytes"] == 601_000 * 1024
    assert first["growth_bytes_per_second"] == 1000 * 1024 / 2
    assert first["leaking"]
    assert first["processes"] == 2
    assert first["age"] == pytest.approx(100.0)
    units = [row.unit for row in sample.top("memory")]
    assert units == [API, "other.service", "session-1.scope"]


@pytest.mark.parametrize(
    ("group", "unit"),
    [
        (f"0::/user.slice/user-1000.slice/user@1000.service/app.slice/{API}", "user@1000.service"),
        (f"0::/system.slice/docker-4f.scope/system.slice/{API}", "docker-4f.scope"),
        (f"0::/docker/4f/system.slice/{API}", "no unit"),
        (f"0::/machine.slice/libpod-4f.scope/container/{API}", "libpod-4f.scope"),
        (f"0::/koprogo.slice/koprogo-api.slice/{API}/worker", API),
    ],
)
def test_a_name_further_down_is_no_unit_of_this_host(proc: Proc, group: str, unit: str) -> None:
    proc.later = lambda: None
    for pid in (10, 11, 12, 13):
        proc.process(pid, f"{group}\n", ticks=0, kib=10)
    assert {row.unit for row in proc.pressure().sample(1.0).consumers} == {unit}


def test_in_a_container_the_groups_of_its_systemd_are_its_own(proc: Proc) -> None:
    proc.process(1, "0::/docker/4f/init.scope\n", ticks=0, kib=1)
    proc.process(12, "0::/docker/4f/system.slice/mine.service\n", ticks=0, kib=1)
    rows = {row.unit: row.processes for row in proc.pressure().sample(1.0).consumers}
    assert (rows["init.scope"], rows["mine.service"]) == (1, 1)


def test_memory_that_processes_of_a_unit_share_counts_once(proc: Proc) -> None:
    for number in range(80):
        proc.process(
            100 + number, "0::/postgresql.service\n", ticks=0, kib=10, shared=50_000 + number
        )
    rows = {row.unit: row.memory for row in proc.pressure().sample(1.0).consumers}
    assert rows["postgresql.service"] == (80 * 10 + 50_079) * 1024


def test_where_the_time_went(proc: Proc) -> None:
    found = proc.pressure().sample(2.0).as_dict(top=3)
    assert found["cpu_shares"]["user"] == 0.75
    assert found["cpu_shares"]["steal"] == 0.05
    assert found["cpu_shares"]["iowait"] == 0.05
    assert found["psi"] == {"memory": {"some_avg10": 12.5, "some_avg60": 8.0}}
    assert found["oom_kills"] == 2
    assert found["available_share"] == 0.05


def test_a_process_that_ends_meanwhile_is_no_failure(proc: Proc) -> None:
    def vanish() -> None:
        (proc.folder / "12" / "stat").unlink()

    proc.later = vanish
    assert "other.service" not in [row.unit for row in proc.pressure().sample(1.0).consumers]


def relief(proc: Proc, host: Host, **options: Any) -> Relief:
    given: dict[str, Any] = {
        "resource": "memory",
        "action": "restart",
        "allow": [API],
        "below": 0.1,
        "least_share": 0.3,
    }
    return Relief(
        runner=host,
        pressure=proc.pressure(),
        sleep=lambda _seconds: None,
        proc=str(proc.folder),
        **(given | options),
    )


def test_the_unit_that_presses_the_host_is_restarted(proc: Proc) -> None:
    host = Host()
    mine = relief(proc, host)
    seen = mine.look()
    assert (seen["pressed"], seen["offender"]) == (True, API)
    assert mine.needed(seen)
    assert mine.refusal(seen) == ("", "")
    proc.write("meminfo", "MemTotal: 1000000 kB\nMemAvailable: 600000 kB\n")
    outcome, gained = mine.act(seen)
    assert (outcome, gained["left_share_after"]) == ("resolved", 0.6)
    assert any(f"restart -- {API}" in text for text in host.told)


def test_a_restart_that_frees_nothing_did_not_help(proc: Proc) -> None:
    mine = relief(proc, Host())
    outcome, gained = mine.act(mine.look())
    assert outcome == "not_resolved"
    assert "is left, less than" in gained["problem"]


def test_a_host_with_enough_is_left_alone(proc: Proc) -> None:
    proc.write("meminfo", "MemTotal: 1000000 kB\nMemAvailable: 600000 kB\n")
    mine = relief(proc, Host())
    assert not mine.needed(mine.look())


def test_another_cause_is_named_and_not_touched(proc: Proc) -> None:
    mine = relief(proc, Host(), allow=["other.service"])
    code, reason = mine.refusal(mine.look())
    assert code == "not_allowed"
    assert f"{API} uses 60% of the memory" in reason
    mine = relief(proc, Host(), least_share=0.9)
    assert mine.refusal(mine.look())[0] == "no_offender"


def test_a_unit_gets_less_of_the_processors_once(
    proc: Proc, monkeypatch: pytest.MonkeyPatch
) -> None:
    niced: list[tuple[int, int]] = []
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    monkeypatch.setattr("os.getpriority", lambda _kind, _pid: 0)
    monkeypatch.setattr("os.setpriority", lambda _kind, pid, nice: niced.append((pid, nice)))
    host = Host()
    for path in ("10/task/10", "10/task/12", "11/task/11"):
        proc.write(f"{path}/stat", "")
    mine = relief(proc, host, resource="cpu", action="renice", below=0.25)
    seen = mine.look()
    assert seen["offender"] == API
    assert mine.needed(seen)
    assert mine.act(seen)[0] == "resolved"
    assert f"systemctl set-property --runtime -- {API} CPUWeight=20" in host.told
    assert niced == [(10, 10), (12, 10), (11, 10)], "each thread"
    host.weight = "20"
    assert not mine.needed(seen)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"allow": []}, "allow: expected the units that may be touched, found none"),
        ({"allow": ["koprogo-*"]}, "allow: expected the name of one unit, .* found 'koprogo-\\*'"),
        ({"action": "renice"}, "renice relieves processors, not memory"),
        ({"below": 1.5}, "below: expected a share between 0 and 1, found 1.5"),
        ({"weight": 1000}, "cpu_weight, nice: expected"),
        ({"seconds": 0.0}, r"seconds: expected from 0\.2 to 30, found 0\."),
        ({"seconds": -1.0}, r"seconds: expected from 0\.2 to 30, found -1\."),
        ({"seconds": float("nan")}, r"seconds: expected from 0\.2 to 30, found nan\."),
        ({"seconds": 1e9}, r"seconds: expected from 0\.2 to 30, found 1000000000\."),
        ({"wait": float("inf")}, r"wait: expected from 0 to 3600, found inf\."),
    ],
)
def test_wrong_options_are_explained(proc: Proc, options: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        relief(proc, Host(), **options)


@pytest.mark.parametrize(
    ("unit", "allowed", "expected"),
    [
        (API, ["koprogo-api"], True),
        (API, [API], True),
        (API, ["*"], False),
        (API, ["koprogo"], False),
        ("init.scope", ["init.scope"], False),
        ("kernel", ["kernel"], False),
    ],
)
def test_the_list_is_of_exact_names(unit: str, allowed: list[str], expected: bool) -> None:
    assert matches(unit, allowed) is expected


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        pytest.param({"idle": 0.1, "iowait": 0.8}, 0.9, id="waiting for a disk is not use"),
        pytest.param({"user": 1.0, "idle": 0.0, "iowait": 0.0}, 0.0, id="all of it is used"),
        pytest.param(
            {"user": 0.0, "idle": 0.0, "iowait": 0.0},
            1.0,
            id="figures that stand still tell nothing",
        ),
    ],
)
def test_what_was_idle(shares: dict[str, float], expected: float) -> None:
    sample = Sample(
        seconds=1, cpus=2, shares=shares, memory={"total": 1, "available": 1},
        psi={}, load=[], oom_kills=0, oom_messages=[], consumers=[],
    )  # fmt: skip
    assert sample.idle_share == pytest.approx(expected)
