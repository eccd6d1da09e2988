"""Steps: order, failures, durations."""

from __future__ import annotations

import threading

import pytest

from lab.shell import LabError
from lab.steps import Clock, Say, Step, clock, run_steps


def _fail(_say: Say) -> None:
    raise LabError("no")


def test_needs_come_first_and_independent_steps_overlap() -> None:
    order: list[str] = []
    both = threading.Barrier(2, timeout=5)

    def meet(name: str) -> Step:
        def work(_say: Say) -> None:
            both.wait()
            order.append(name)

        return Step(name, work)

    last = Step("last", lambda _: order.append("last"), needs=("a", "b"))
    durations = run_steps([last, meet("a"), meet("b")], Clock())
    assert order[-1] == "last"
    assert set(durations) == {"a", "b", "last"}


def test_a_failure_stops_only_what_needs_it(capsys: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []
    steps = [
        Step("bad", _fail),
        Step("after", lambda _: done.append("after"), needs=("bad",)),
        Step("other", lambda _: done.append("other")),
    ]
    with pytest.raises(LabError, match="no"):
        run_steps(steps, Clock())
    assert done == ["other"]
    assert "FAILED" in capsys.readouterr().out


def test_a_slow_step_is_heard_of(capsys: pytest.CaptureFixture[str]) -> None:
    gate = threading.Event()
    threading.Timer(0.3, gate.set).start()

    def work(_say: Say) -> None:
        gate.wait(5)

    run_steps([Step("slow", work)], Clock(), heartbeat=0.05)
    assert "still at it: slow" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([Step("a", lambda _: None, needs=("zzz",))], "unknown"),
        (
            [Step("a", lambda _: None, needs=("b",)), Step("b", lambda _: None, needs=("a",))],
            "circle",
        ),
    ],
)
def test_impossible_needs(steps: list[Step], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_steps(steps, Clock())


@pytest.mark.parametrize(("seconds", "expected"), [(0, "0:00"), (59.9, "0:59"), (3725, "62:05")])
def test_clock(seconds: float, expected: str) -> None:
    assert clock(seconds) == expected
