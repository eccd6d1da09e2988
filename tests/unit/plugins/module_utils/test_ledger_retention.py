# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A long ledger forgets only what no rule looks back at, and is whole whenever the process is killed."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.koprogo.observability.plugins.module_utils import (
    _ledger,
    _ledger_store,
)
from ansible_collections.koprogo.observability.plugins.module_utils._ledger import Ledger
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_retention import (
    gaps_of,
    shortened,
    wanted_entries,
)
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_rules import (
    Clock,
    Limits,
    judge_state,
)
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_store import Store
from tests.unit.plugins.module_utils.test_ledger import Host

NOW = 2_000_000_000.0
CLOCK = Clock(wall=lambda: NOW, since_boot=lambda: 50_000.0, boot_id=lambda: "this")

_PASSED = st.sampled_from([40.0, 130.0, 700.0, 90_000.0])
# Most of it helps; and one in which all that can happen does, with clocks that are wrong.
_CALM = st.tuples(
    st.sampled_from(["a", "a", "b"]),
    st.sampled_from([*["resolved"] * 40, "failed", "failed", "closed"]),
    _PASSED,
    st.just(0.0),
)
_WILD = st.tuples(
    st.sampled_from(["a", "b"]),
    st.sampled_from(
        ["resolved", "not_resolved", "failed", "inconclusive", "refused", "", "closed", "trusted"]
    ),
    _PASSED,
    st.sampled_from([0.0, 0.0, 0.0, -1e6, 1e9]),
)


def history(steps: list[tuple[str, str, float, float]]) -> list[dict[str, Any]]:
    """Entries as the ledger has them, of which the last one is of this moment."""
    rows: list[dict[str, Any]] = []
    age = sum(step[2] for step in steps)
    for number, (action, outcome, passed, wrong) in enumerate(steps):
        age -= passed
        stamp = {"action": action, "id": str(number), "unix": NOW - age + wrong, "boot": "earlier"}
        stamp |= {"time": f"{NOW - age:.0f}", "class": "safe"}
        if outcome == "closed":
            rows.append({**stamp, "phase": "breaker"})
        elif outcome == "trusted":
            rows.append({**stamp, "phase": "ledger", "action": ""})
        else:
            rows.append({**stamp, "phase": "begin"})
            if outcome:
                rows.append({**stamp, "phase": "end", "outcome": outcome})
    return [{**row, "seq": place} for place, row in enumerate(rows, 1)]


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(_WILD, min_size=1, max_size=80) | st.lists(_CALM, min_size=40, max_size=80),
    newest=st.integers(0, 8),
    limits=st.builds(
        Limits,
        budget=st.integers(1, 20),
        breaker=st.integers(1, 5),
        window=st.sampled_from([600.0, 86_400.0, 1e8]),
        cool_down=st.sampled_from([30.0, 3600.0, 1e7]),
    ),
)
def test_each_rule_finds_what_it_would_have_found(
    steps: list[tuple[str, str, float, float]], newest: int, limits: Limits
) -> None:
    entries = history(steps)
    kept = wanted_entries(entries, now=NOW, newest=newest)
    for action in "ab":
        before, after = (judge_state(action, limits, rows, CLOCK) for rows in (entries, kept))
        for name in ("budget_left", "cool_down_left", "breaker", "last_outcome", "last_time"):
            assert getattr(before, name) == getattr(after, name), name
        assert min(before.ineffective, 5) == min(after.ineffective, 5)
    # Whoever is vouched for stays so, and a second time nothing goes.
    assert [e for e in entries if e["phase"] == "ledger"][-1:] == [
        e for e in kept if e["phase"] == "ledger"
    ][-1:]
    assert wanted_entries(kept, now=NOW, newest=newest) == kept


@pytest.mark.parametrize(
    ("outcomes", "longest"),
    [
        ("f" + "r" * 30, 1),
        ("ffr" + "r" * 10 + "f" + "r" * 19, 2),
        ("rfr" + "ff" + "r" * 25, 2),
        ("fff" + "c" + "r" * 25, 0),
        ("fff" + "c" + "ff" + "r" * 25, 2),
        ("r" * 30 + "ff", 2),
    ],
)
def test_the_longest_row_of_failures_stays_and_does_not_grow(outcomes: str, longest: int) -> None:
    names = {"r": "resolved", "f": "failed", "c": "closed"}
    entries = history([("a", names[one], 130.0, 0.0) for one in outcomes])
    kept = wanted_entries(entries, now=NOW, newest=0)
    assert len(kept) < len(entries)
    for breaker in range(1, 6):
        limits = Limits(cool_down=30, budget=20, window=600, breaker=breaker)
        opened = judge_state("a", limits, kept, CLOCK).breaker == "open"
        assert opened == (longest >= breaker), breaker


def test_numbers_that_were_let_go_are_no_gap_and_others_are() -> None:
    entries = history([("a", "resolved", 130.0, 0.0)] * 60)
    told = shortened(entries, now=NOW, newest=5)
    assert told is not None
    kept, note = told
    assert len(kept) == 40
    whole = [*kept, {**note, "seq": 121}]
    assert note["gone"] == [[1, 80]]
    assert gaps_of(whole, since=0) == []
    assert gaps_of([e for e in whole if e["seq"] not in (90, 91, 100)], since=0) == ["90-91", "100"]
    assert gaps_of([*whole, {"phase": "end", "seq": 124}], since=0) == ["122-123"]
    # Too little would go.
    assert shortened(kept, now=NOW, newest=5) is None


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """One on which a ledger is long soon."""
    monkeypatch.setattr(_ledger_store.Store.__init__, "__kwdefaults__", {
        **(Store.__init__.__kwdefaults__ or {}), "long_bytes": 12_000})  # fmt: skip
    monkeypatch.setattr(
        _ledger, "shortened", lambda entries, *, now: shortened(entries, now=now, newest=4)
    )
    return Host(tmp_path)


def lines(host: Host) -> int:
    return host.path.read_bytes().count(b"\n")


def fill(host: Host, runs: int) -> None:
    for _number in range(runs):
        host.run()
        host.time.pass_by(5000)


def test_a_ledger_stays_short_and_trusted(host: Host) -> None:
    host.ledger().vouch(reason="provisioned")
    for name in "xyz":
        host.run("not_resolved", name=name, reversibility="lossy")
    host.run("not_resolved", name="gone", reversibility="destructive")
    most = 0
    for _number in range(20):
        fill(host, 5)
        most = max(most, host.path.stat().st_size)
    assert most < 40_000
    assert lines(host) < 80
    assert host.ledger().health()["problems"] == []
    states = {row["action"]: row for row in host.ledger().states()}
    assert (states["gone"]["breaker"], states["x"]["ineffective"]) == ("open", 1)
    assert host.refused(name="gone", reversibility="destructive") == "breaker_open"
    host.run(name="new", reversibility="destructive")
    # As it was before it was last shortened, for who wants to know.
    assert Path(f"{host.path}.1").stat().st_size >= 12_000
    assert not Path(f"{host.path}.new").exists()


def test_a_storm_of_refusals_is_forgotten_and_not_what_it_is_about(host: Host) -> None:
    for _number in range(3):
        host.run("failed")
        host.time.pass_by(5000)
    for _number in range(300):
        assert host.refused() == "breaker_open"
        host.time.pass_by(61)
    assert lines(host) < 80
    assert host.ledger().states()[0]["breaker"] == "open"


def test_what_is_wrong_with_it_stays_to_be_seen(host: Host) -> None:
    host.ledger().vouch(reason="provisioned")
    fill(host, 8)
    rows = host.path.read_bytes().splitlines(keepends=True)
    host.path.write_bytes(b"".join(rows[:5] + rows[6:]))
    fill(host, 60)
    assert lines(host) > 120
    assert host.ledger().health()["damaged_lines"] == [6]
    host.ledger().vouch(reason="looked at it")
    fill(host, 1)
    assert lines(host) < 80
    assert host.ledger().health()["problems"] == []


def test_without_room_it_goes_on_growing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.ledger().vouch(reason="provisioned")
    fill(host, 10)

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "_place", full)
    fill(host, 60)
    assert lines(host) == 141
    assert not Path(f"{host.path}.new").exists()
    assert host.ledger().health()["problems"] == []


def test_who_waits_for_the_ledger_writes_to_the_one_that_took_its_place(host: Host) -> None:
    fill(host, 2)
    store, told = Store(str(host.path), memory=[]), []
    with store._locked(str(host.path), create=False):
        waiting = threading.Thread(target=lambda: told.append(store.append({"phase": "x"})))
        waiting.start()
        new = host.path.with_suffix(".other")
        new.write_bytes(host.path.read_bytes())
        waiting.join(0.2)
        assert not told
        new.replace(host.path)
    waiting.join(5)
    assert told and lines(host) == 5


class Killer:
    """The C(os) of the module, which kills the process at the n-th call that changes something."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in ("pwrite", "fsync", "link", "unlink", "replace", "ftruncate"):
            return real

        def call(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return call


def test_killed_at_each_step_it_is_the_old_one_or_the_new_one(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.ledger().vouch(reason="provisioned")
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "_shorten", lambda _ledger: None)
        host.run("not_resolved", name="gone", reversibility="destructive")
        fill(host, 60)
    rows, head = host.path.read_bytes(), Path(f"{host.path}.head").read_bytes()
    whole, ended = lines(host), []
    for steps in itertools.count():
        host.path.write_bytes(rows)
        Path(f"{host.path}.head").write_bytes(head)
        child = os.fork()
        if not child:
            monkeypatch.setattr(_ledger_store, "os", Killer(steps))
            host.ledger()._shorten()
            os._exit(0)
        _pid, status = os.waitpid(child, 0)
        ended.append(lines(host))
        health = host.ledger().health()
        assert health["problems"] == [], steps
        states = {row["action"]: row for row in host.ledger().states()}
        assert states["gone"]["breaker"] == "open"
        assert host.refused(name="gone", reversibility="destructive") == "breaker_open"
        # Whatever is left of the one that died is no hindrance.
        host.ledger()._shorten()
        assert lines(host) < whole
        assert host.ledger().health()["problems"] == []
        if not status:
            break
    assert set(ended) == {whole, ended[-1]} and ended[-1] < whole
    assert steps > 6
