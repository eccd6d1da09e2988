"""Slow and failing routes from log lines: exact where it must be, bounded where it can't."""

from __future__ import annotations

import gzip
import json
import math
import os
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.koprogo.observability.plugins.module_utils._api_log import (
    Event,
    Request,
    learn_shape,
    read_line,
    route_of,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._histogram import (
    RELATIVE_ERROR,
    Histogram,
)
from ansible_collections.koprogo.observability.plugins.module_utils._latency import (
    Window,
    read_log,
    seconds_of,
)

DAY = Window.of(since="2026-01-01", until="2026-01-02", duration="1h")


def line(at: str = "12:00:00.000", **changes: Any) -> str:
    """A line as the API writes it; an argument that is None leaves its field out."""
    fields: dict[str, Any] = {
        "remote_addr": "192.0.2.1",
        "timestamp": f"2026-01-01T{at}Z",
        "level": "INFO",
        "method": "GET",
        "path": "/api/v1/users/17",
        "route": "/api/v1/users/{user_id}",
        "status": 200,
        "duration_ms": 12.5,
        "user_agent": "x",
        "request_id": "abc",
    } | changes
    kept = {key: value for key, value in fields.items() if value is not None}
    return json.dumps(kept, separators=(",", ":"))


def write(folder: Path, *lines: str, name: str = "api.log") -> Path:
    path = folder / name
    text = "".join(f"{item}\n" for item in lines).encode()
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return path


def read(path: Path, window: Window = DAY, **options: Any) -> dict[str, Any]:
    return read_log(str(path), window, **options)


@given(st.lists(st.floats(min_value=0.1, max_value=1e8), min_size=1, max_size=50))
def test_a_quantile_is_as_exact_as_promised(values: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    for share in (0.5, 0.95, 0.99, 1.0):
        exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
        # The result is rounded to the microsecond.
        assert abs(histogram.quantile(share) - exact) <= exact * RELATIVE_ERROR + 0.0006


def test_what_has_no_measure() -> None:
    histogram = Histogram()
    assert histogram.quantile(0.99) == 0.0
    for value in (0.0, -1.0, math.nan, math.inf):
        histogram.add(value) if value != math.inf else histogram.add(1e300)
    assert histogram.count == 4


def test_fast_and_slow_reading_agree(tmp_path: Path) -> None:
    chance = random.Random(3)  # noqa: S311 - dice
    lines = [
        line(
            f"{chance.randrange(24):02d}:{chance.randrange(60):02d}:00.000",
            method=chance.choice(["GET", "POST"]),
            route=chance.choice(["/a", "/b/{id}", "unmatched"]),
            status=chance.choice([200, 404, 500, 503]),
            duration_ms=round(chance.lognormvariate(3, 2), 3),
            # An escaped character sends the line through the JSON parser.
            **({"remote_addr": 'x"y'} if chance.random() < 0.1 else {}),
        )
        for _number in range(3000)
    ]
    fast = read(write(tmp_path, *lines))
    # No line begins a pattern when each one has a nested value in front.
    slow_lines = ['{"nested":{},' + item[1:] for item in lines]
    slow = read(write(tmp_path, *slow_lines, name="slow.log"))
    for found in (fast, slow):
        for key in ("files", "seconds"):
            del found[key]
    assert fast["lines"]["requests"] == 3000
    assert [row["count"] for row in fast["routes"]] == [row["count"] for row in slow["routes"]]
    assert fast["failing"] == slow["failing"]
    assert [row["duration_ms"] for row in fast["slowest"]] == [
        row["duration_ms"] for row in slow["slowest"]
    ]
    for one, other in zip(fast["routes"], slow["routes"], strict=True):
        assert one["p99_ms"] == pytest.approx(other["p99_ms"], rel=RELATIVE_ERROR)


def test_a_client_cannot_forge_a_field(tmp_path: Path) -> None:
    forged = '/x","status":500,"duration_ms":99999,"route":"/evil'
    plain = line(route="/a")
    found = read(write(tmp_path, plain, line(path=forged, route="/a"), plain))
    assert found["failing"] == []
    assert [row["route"] for row in found["routes"]] == ["/a"]
    assert found["slowest"][0]["duration_ms"] == 12.5


def test_failures_by_route_with_their_first_minute(tmp_path: Path) -> None:
    lines = [line(f"12:0{n}:30.000", status=503 if n in (3, 4) else 200) for n in range(9)]
    lines.append(line("12:05:00.000", status=500, path="/other", route="/other"))
    found = read(write(tmp_path, *lines))
    assert found["failing_requests"] == 3
    assert found["first_failing_minute"] == "2026-01-01T12:03Z"
    assert found["failing"][0] == {
        "method": "GET",
        "route": "/api/v1/users/{user_id}",
        "status": 503,
        "count": 2,
        "first_minute": "2026-01-01T12:03Z",
        "last_minute": "2026-01-01T12:04Z",
    }


def test_the_window_is_exact_on_both_sides(tmp_path: Path) -> None:
    path = write(tmp_path, *(line(f"12:00:0{n}.000", duration_ms=n + 1) for n in range(10)))
    window = Window.of(
        since="2026-01-01T12:00:02Z", until="2026-01-01T13:00:05+01:00", duration="1h"
    )
    found = read(path, window)
    assert found["lines"] == {
        "read": 10, "requests": 4, "events": 0, "outside_window": 6, "damaged": 0
    }  # fmt: skip
    assert [row["duration_ms"] for row in found["slowest"]] == [6.0, 5.0, 4.0, 3.0]


def test_rotated_and_packed_files_are_read_too_and_strangers_are_not(tmp_path: Path) -> None:
    path = write(tmp_path, line())
    for number, name in enumerate(("api.log.1", "api.log.2.gz", "api.log-20260101.gz")):
        write(tmp_path, line(), name=name)
        os.utime(tmp_path / name, (1_767_300_000 - number, 1_767_300_000 - number))
    write(tmp_path, line(), name="api.log.bak")
    write(tmp_path, line(), name="api.logger.1")
    (tmp_path / "api.log.3").symlink_to("/etc/passwd")
    found = read(path)
    assert [Path(row["path"]).name for row in found["files"]] == [
        "api.log", "api.log.1", "api.log.2.gz", "api.log-20260101.gz"
    ]  # fmt: skip
    assert found["lines"]["requests"] == 4


def test_a_file_from_before_the_window_is_not_opened(tmp_path: Path) -> None:
    path = write(tmp_path, line())
    write(tmp_path, line(), name="api.log.1")
    os.utime(tmp_path / "api.log.1", (1_000_000_000, 1_000_000_000))
    assert [Path(row["path"]).name for row in read(path)["files"]] == ["api.log"]


@pytest.mark.parametrize(
    ("bad", "damaged"),
    [
        ("{", 1),
        ("[]", 1),
        ('{"timestamp":17}', 1),
        (line(status="abc"), 1),
        (line(status=700), 1),
        (line(duration_ms="NaN"), 1),
        (line(duration_ms=-1), 1),
        ('{"timestamp":"2026-01-01T12:00:00.000Z"', 1),
        ("\x00\x00\x00", 1),
        ("[" * 100_000, 1),
        ("", 0),
    ],
)
def test_damaged_lines_are_counted_and_nothing_is_lost(
    tmp_path: Path, bad: str, damaged: int
) -> None:
    found = read(write(tmp_path, line(), bad, line()))
    assert found["lines"]["damaged"] == damaged
    assert found["lines"]["requests"] == 2


def test_a_torn_gzip_file_gives_what_it_has(tmp_path: Path) -> None:
    path = write(tmp_path, line())
    packed = write(tmp_path, *(line(user_agent=str(n)) for n in range(5000)), name="api.log.2.gz")
    packed.write_bytes(packed.read_bytes()[:-2000])
    found = read(path)
    assert found["lines"]["requests"] > 1
    assert found["lines"]["damaged"] >= 1


def test_errors_of_the_product_itself_are_shown(tmp_path: Path) -> None:
    event = {"timestamp": "2026-01-01T12:00:00.000Z", "level": "ERROR", "message": "pool exhausted"}
    found = read(write(tmp_path, line(), json.dumps(event), line()))
    assert found["errors"] == [
        {"at": "2026-01-01T12:00:00.000Z", "level": "ERROR", "message": "pool exhausted"}
    ]
    assert found["lines"]["events"] == 1


def test_the_writer_may_change_its_order_of_fields(tmp_path: Path) -> None:
    other = [
        json.dumps(
            {
                "duration_ms": 7,
                "status": 200,
                "path": f"/b/{number}",
                "method": "GET",
                "timestamp": "2026-01-01T12:00:00Z",
            }
        )
        for number in range(20_000)
    ]
    found = read(write(tmp_path, *(line() for _number in range(5000)), *other))
    assert {row["route"]: row["count"] for row in found["routes"]} == {
        "/api/v1/users/{user_id}": 5000,
        "/b/{id}": 20_000,
    }


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "api.log"
    with path.open("wb") as log:
        log.write(line().encode() + b"\n")
        for _number in range(100):
            log.write(b"x" * 1024 * 1024)
        log.write(b"\n" + line().encode() + b"\n")
    tracemalloc.start()
    found = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found["lines"]["requests"] == 2
    assert found["lines"]["damaged"] == 1
    assert peak < 20 * 1024 * 1024


def test_the_begin_of_the_window_is_sought_not_read(tmp_path: Path) -> None:
    text = [line(f"{n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d}.000") for n in range(86_400)]
    path = write(tmp_path, *text)
    window = Window.of(since="2026-01-01T23:50:00Z", until="2026-01-01T23:59:59Z", duration="1h")
    found = read(path, window)
    assert found["lines"]["requests"] == 600
    assert found["files"][0]["bytes"] < path.stat().st_size / 10


def test_only_the_newest_bytes_are_read_where_that_is_asked(tmp_path: Path) -> None:
    path = write(tmp_path, *(line(duration_ms=n) for n in range(1000)))
    found = read(path, limit=10_000)
    assert found["truncated"]
    assert found["slowest"][0]["duration_ms"] == 999
    assert 20 < found["lines"]["requests"] < 100


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/v1/buildings/17", "/api/v1/buildings/{id}"),
        ("/api/v1/buildings/17?x=/9", "/api/v1/buildings/{id}"),
        ("/u/0b7e6c0e-7f5d-4d0a-9f57-2b8a2f9c5b1a/x", "/u/{id}/x"),
        ("/t/deadbeefdeadbeef0", "/t/{id}"),
        ("/t/Zm9vYmFyYmF6cXV4Zm9v1", "/t/{id}"),
        ("/api/v1/administrations-and-owners", "/api/v1/administrations-and-owners"),
        ("/", "/"),
        ("", "/"),
    ],
)
def test_routes(path: str, route: str) -> None:
    assert route_of(path) == route


def test_read_line_tells_requests_from_events() -> None:
    assert isinstance(read_line(line().encode()), Request)
    assert isinstance(read_line(line(status=None).encode()), Event)
    assert learn_shape(line(status=None).encode()) is None
    assert learn_shape(b"nothing") is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400), ("5", 5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text, option="duration") == seconds


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"duration": "soon"},
            "duration: expected a time such as 90s, 15m, 2h or 1d, found 'soon'",
        ),
        ({"duration": "-1h"}, "duration: expected"),
        ({"since": "yesterday"}, "since: expected a time such as .*, found 'yesterday'"),
        ({"since": "2026-01-02", "until": "2026-01-01"}, "since: expected a time before"),
    ],
)
def test_a_wrong_window_is_explained(options: dict[str, str], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        Window.of(
            since=options.get("since", ""),
            until=options.get("until", ""),
            duration=options.get("duration", "1h"),
        )


def test_a_missing_log_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="path: expected the API's log at"):
        read(tmp_path / "api.log")
