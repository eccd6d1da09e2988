# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard: cool-down, budget, breaker, evidence, classes, the lock, and runs that died."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._ledger import (
    Action,
    Ledger,
    Limits,
    RefusedError,
    action_of,
)
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_desk import write
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_rules import Clock
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_store import (
    LedgerError,
    Store,
)

SEEN = {"free": 0}
ROOT = Path(__file__).parents[4]


class Time:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.uptime = 50_000.0
        self.boot = "boot-1"

    def pass_by(self, seconds: float, *, wall: float | None = None) -> None:
        self.wall += seconds if wall is None else wall
        self.uptime += seconds

    def reboot(self, *, wall: float, uptime: float) -> None:
        self.boot, self.wall, self.uptime = self.boot + "x", wall, uptime

    def clock(self) -> Clock:
        return Clock(
            wall=lambda: self.wall, since_boot=lambda: self.uptime, boot_id=lambda: self.boot
        )


class Host:
    """A ledger in a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state" / "ledger.jsonl"
        self.time = Time()
        self.locks = [str(folder / "run.lock"), str(folder / "shm.lock")]
        self.memory = [str(folder / "ram" / "ledger.jsonl")]

    def ledger(self) -> Ledger:
        return Ledger(
            store=Store(str(self.path), memory=self.memory, reserve_bytes=4096),
            clock=self.time.clock(),
            locks=self.locks,
        )

    def run(self, outcome: str = "resolved", **options: Any) -> str:
        with self.ledger().remediation(action(**options), evidence=SEEN) as run:
            run.end(outcome)
        return run.id

    def refused(self, **options: Any) -> str:
        with pytest.raises(RefusedError) as caught:
            self.run(**options)
        assert caught.value.evidence["refused"] is True
        code: str = caught.value.evidence["guard"]["code"]
        return code


def action(name: str = "restart:api", reversibility: str = "safe", **options: Any) -> Action:
    return Action(name=name, reversibility=reversibility, who="ada", alert="ApiDown", **options)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_run_leaves_a_beginning_and_an_end(host: Host) -> None:
    with host.ledger().remediation(action(), evidence=SEEN, prediction={"restarts": 1}) as run:
        run.end("resolved", result={"restarts": 1})

    begin, end = host.ledger().read().entries
    assert (begin["phase"], end["phase"]) == ("begin", "end")
    assert begin["id"] == end["id"] == run.id == run.guard["run_id"]
    assert (begin["prediction"], end["result"]) == ({"restarts": 1}, {"restarts": 1})
    assert (end["outcome"], end["who"], end["class"]) == ("resolved", "ada", "safe")
    assert len(begin["evidence"]) == 64
    assert host.path.stat().st_mode & 0o777 == 0o600


def test_the_cool_down_counts_from_the_end(host: Host) -> None:
    host.run()
    assert host.refused() == "cool_down"
    host.time.pass_by(119)
    assert host.refused() == "cool_down"
    host.time.pass_by(1)
    host.run()


def test_a_verdict_that_comes_late_does_not_begin_the_cool_down_anew(host: Host) -> None:
    run_id = host.run()
    host.time.pass_by(115)
    host.ledger().verdict(run_id, "not_resolved")
    assert host.refused() == "cool_down"
    host.time.pass_by(5)
    host.run()


def test_actions_have_cool_downs_of_their_own(host: Host) -> None:
    host.run()
    host.run(name="restart:db")


def test_the_budget_is_used_up_and_comes_back(host: Host) -> None:
    limits = Limits.of("safe", {"budget": 2})
    for _number in range(2):
        host.run(limits=limits)
        host.time.pass_by(130)
    assert host.refused(limits=limits) == "budget"
    host.time.pass_by(3600)
    host.run(limits=limits)


@pytest.mark.parametrize("outcome", ["not_resolved", "inconclusive", "failed"])
def test_the_breaker_opens_and_only_a_human_closes_it(host: Host, outcome: str) -> None:
    for _number in range(3):
        host.run(outcome)
        host.time.pass_by(5000)
    assert host.refused() == "breaker_open"
    host.time.pass_by(10_000_000)
    assert host.refused() == "breaker_open"

    with pytest.raises(InputError, match="reason"):
        host.ledger().close_breaker("restart:api", reason=" ")
    host.ledger().close_breaker("restart:api", reason="certificate renewed")

    host.run("not_resolved")
    assert host.ledger().states()[0]["breaker"] == "closed"
    assert host.ledger().states()[0]["ineffective"] == 1


def test_a_run_that_helped_ends_the_row(host: Host) -> None:
    for outcome in ("failed", "failed", "resolved", "failed", "failed"):
        host.run(outcome)
        host.time.pass_by(5000)
    host.run()


def test_a_verdict_replaces_what_the_action_thought(host: Host) -> None:
    for _number in range(3):
        run_id = host.run("resolved")
        assert host.ledger().verdict(run_id, "not_resolved")
        assert not host.ledger().verdict(run_id, "not_resolved")
        host.time.pass_by(5000)
    assert host.refused() == "breaker_open"


def test_a_run_whose_verdict_never_comes_did_not_help(host: Host) -> None:
    for outcome, counted in (("resolved", 1), ("not_resolved", 2)):
        run_id = host.run(outcome, verdict_follows=True)
        assert host.ledger().states()[0]["ineffective"] == counted
        host.time.pass_by(5000)
    # Whoever is still asking has the last word; who is dead gets one.
    host.ledger().give_up([run_id, "nobody"])
    assert host.ledger().read().entries[-1]["phase"] == "end"
    run_id = host.run(verdict_follows=True)
    host.time.pass_by(5000)
    assert host.refused() == "breaker_open"
    host.ledger().give_up([run_id])
    host.ledger().give_up([run_id])
    said = [e["outcome"] for e in host.ledger().read().entries if e["phase"] == "verdict"]
    assert said == ["inconclusive"]
    assert host.ledger().verdict(run_id, "resolved")
    assert host.ledger().states()[0]["breaker"] == "closed"


def test_a_verdict_needs_a_run(host: Host) -> None:
    with pytest.raises(InputError, match="found 'nobody'"):
        host.ledger().verdict("nobody", "resolved")


def test_without_evidence_nothing_runs(host: Host) -> None:
    nothing: tuple[dict[str, Any] | str | None, ...] = ({}, "", None)
    for evidence in nothing:
        with (
            pytest.raises(RefusedError, match="expected evidence"),
            host.ledger().remediation(action(), evidence=evidence),
        ):
            pytest.fail("it ran")
    with pytest.raises(InputError, match="64 hexadecimal"):
        host.ledger().judge(action(), evidence="abc")


def test_a_destructive_action_is_never_automatic_and_needs_a_ledger_to_trust(host: Host) -> None:
    assert host.refused(reversibility="destructive", automatic=True) == "destructive"
    assert host.refused(reversibility="destructive") == "no_ledger"
    host.ledger().vouch(reason="provisioned")
    host.run(reversibility="destructive")


def test_a_lost_or_damaged_ledger_refuses_destructive_actions_only(host: Host) -> None:
    host.ledger().vouch(reason="provisioned")
    for name in "abc":
        host.run(name=name)
    lines = host.path.read_bytes().splitlines(keepends=True)
    host.path.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert host.ledger().health()["damaged_lines"] == [3]
    assert host.refused(name="x", reversibility="destructive") == "no_ledger"
    host.run(name="y")
    host.ledger().vouch(reason="looked at it")
    host.run(name="z", reversibility="destructive")

    host.path.unlink()
    host.run(name="safe")
    assert host.refused(name="after", reversibility="destructive") == "no_ledger"


def test_a_ledger_whose_end_was_cut_off_is_not_trusted_until_a_human_has_looked(host: Host) -> None:
    host.ledger().vouch(reason="provisioned")
    host.run("not_resolved", reversibility="destructive")
    assert host.refused(reversibility="destructive") == "breaker_open"
    lines = host.path.read_bytes().splitlines(keepends=True)
    # The run, and the refusal.
    host.path.write_bytes(b"".join(lines[:-3]))
    assert host.ledger().health()["problems"] == [
        "its last entry is 1, and 4 were written: the end is missing"
    ]
    assert host.refused(reversibility="destructive") == "no_ledger"
    # What was written since hides nothing.
    host.run(name="safe")
    assert host.ledger().health()["problems"] == ["missing entries: 2-4"]
    assert host.refused(name="x", reversibility="destructive") == "no_ledger"
    host.ledger().vouch(reason="the host was put back")
    assert host.ledger().health()["problems"] == []
    host.run(reversibility="destructive")


def test_vouching_without_room_for_the_head_is_no_success(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"state": "trusted", "reason": "as the refusal said", "run_by": "ada"}
    host.ledger().vouch(reason="provisioned")
    head = Path(f"{host.path}.head")
    head.unlink()
    real = os.pwrite

    def full(descriptor: int, data: bytes, offset: int) -> int:
        if Path(f"/proc/self/fd/{descriptor}").readlink() == head:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(LedgerError, match=r"^state: expected .*ledger\.jsonl\.head has to be"):
            write(host.ledger(), wanted, check=False)
    assert not head.exists()
    assert write(host.ledger(), wanted, check=False)
    assert host.ledger().health()["trusted"]


def test_judging_writes_nothing(host: Host, tmp_path: Path) -> None:
    guard = host.ledger().judge(action(), evidence=SEEN)
    assert guard["allowed"]
    assert guard["state"]["budget_left"] == 5
    assert list(tmp_path.iterdir()) == []


def test_an_error_ends_the_run_as_failed(host: Host) -> None:
    with (
        pytest.raises(RuntimeError),
        host.ledger().remediation(action(), evidence=SEEN),
    ):
        raise RuntimeError("the unit is masked")
    end = host.ledger().read().entries[-1]
    assert (end["outcome"], end["result"]) == ("failed", {"error": "the unit is masked"})


def test_without_a_word_the_run_is_inconclusive(host: Host) -> None:
    with host.ledger().remediation(action(), evidence=SEEN) as run:
        pass
    assert run.guard["outcome"] == "inconclusive"


def test_two_at_once_are_refused_with_the_holders_name(host: Host) -> None:
    with host.ledger().remediation(action(name="slow"), evidence=SEEN) as run:
        with (
            pytest.raises(RefusedError, match=f"slow, process {os.getpid()}") as caught,
            host.ledger().remediation(action(), evidence=SEEN),
        ):
            pytest.fail("it ran")
        assert caught.value.evidence["guard"]["holder"]["action"] == "slow"
        run.end("resolved")
    host.run()


def test_one_lock_in_common_is_enough(host: Host) -> None:
    both = host.locks
    host.locks = both[1:]
    with host.ledger().remediation(action(name="slow"), evidence=SEEN):
        host.locks = both
        assert host.refused() == "locked"


def test_without_any_lock_nothing_runs(host: Host) -> None:
    host.locks = ["/proc/none/lock"]
    assert host.refused() == "locked"


_VICTIM = """
import sys, time
sys.path.insert(0, {root!r})
from tests.unit.conftest import *
from pathlib import Path
from tests.unit.plugins.module_utils.test_ledger import Host, SEEN, action
host = Host(Path({folder!r}))
with host.ledger().remediation(action(), evidence=SEEN):
    print("begun", flush=True)
    time.sleep(60)
"""


def test_a_killed_run_is_found_aborted_and_its_lock_is_free(host: Host, tmp_path: Path) -> None:
    code = _VICTIM.format(root=str(ROOT), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        assert host.refused(name="other") == "locked"
        process.send_signal(signal.SIGKILL)
    host.time.pass_by(130)
    host.run()
    outcomes = [entry.get("outcome", "") for entry in host.ledger().read().entries]
    assert outcomes == ["", "refused", "aborted", "", "resolved"]


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        # The wall is set back an hour within a boot: the boot's clock counts.
        (lambda t: t.pass_by(60, wall=-3600), False),
        (lambda t: t.pass_by(130, wall=-3600), True),
        # The wall jumps ahead within a boot: the cool-down isn't over.
        (lambda t: t.pass_by(0, wall=86_400), False),
        # A reboot with a wall from before the entry: only this boot's age counts.
        (lambda t: t.reboot(wall=1_000_000_000, uptime=20), False),
        (lambda t: t.reboot(wall=1_000_000_000, uptime=200), True),
        # A reboot and a right wall.
        (lambda t: t.reboot(wall=t.wall + 130, uptime=20), True),
    ],
)
def test_clocks_that_jump(host: Host, change: Callable[[Time], object], allowed: bool) -> None:
    host.run()
    change(host.time)
    assert host.ledger().judge(action(), evidence=SEEN)["allowed"] is allowed


def test_a_storm_of_refusals_is_written_once(host: Host) -> None:
    host.run()
    for _number in range(200):
        assert host.refused() == "cool_down"
    assert len(host.ledger().read().entries) == 3


def test_limits_stay_within_bounds() -> None:
    params = {"cool_down": 31.0, "budget": None, "budget_window": None, "breaker_after": 5}
    assert action_of(params, name="x", reversibility="lossy").bounds.cool_down == 31
    for option, value in (
        *(("budget", 21), ("breaker_after", 0), ("cool_down", 0)),
        *(("budget_window", 1), ("budget_window", float("inf")), ("cool_down", float("nan"))),
    ):
        with pytest.raises(InputError, match=f"^{option}: expected"):
            action_of(params | {option: value}, name="x", reversibility="safe")


def test_the_real_clock_moves_on() -> None:
    clock = Clock()
    stamp = clock.stamp()
    time.sleep(0.02)
    assert 0.01 < clock.since(stamp) < 5
