"""Values that have a format of their own: durations, sizes, ports, checksums."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.koprogo.observability.plugins.plugin_utils._formats import (
    duration_seconds,
    format_error,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30d", 2_592_000), ("1h30m", 5_400), ("15s", 15), ("1y", 31_536_000), ("500ms", 0.5)],
)
def test_durations_in_prometheus_notation(text: str, seconds: float) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "30 days", "-1d", "1.5h", "d", "1m1h"])
def test_other_notations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text or "^$"):
        duration_seconds(text)


@given(st.integers(0, 9999), st.sampled_from(["y", "w", "d", "h", "m", "s"]))
def test_a_number_and_a_unit_is_a_duration(number: int, unit: str) -> None:
    assert duration_seconds(f"{number}{unit}") >= number


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("prometheus_retention", "30d"),
        ("prometheus_retention_size", "20GB"),
        ("prometheus_retention_size", "0"),
        ("prometheus_port", 9090),
        ("prometheus_scrape_interval", "15s"),
        ("prometheus_archive_sha256", ""),
        ("prometheus_archive_sha256", {"amd64": "x"}),
        ("prometheus_archive", "anything"),
    ],
)
def test_good_values(option: str, value: Any) -> None:
    assert format_error(option, value) == ""


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("prometheus_retention", "30 days", "duration"),
        ("prometheus_retention", "1h", "at least 1d"),
        ("prometheus_retention", "0d", "longer than zero"),
        ("prometheus_retention_size", "20 gigabytes", "size"),
        ("prometheus_port", 0, "port"),
        ("prometheus_port", 65_536, "port"),
        ("prometheus_scrape_interval", "-5s", "duration"),
        ("prometheus_archive_sha256", "ABC", "64"),
    ],
)
def test_bad_values_name_option_expectation_and_finding(
    option: str, value: Any, expected: str
) -> None:
    message = format_error(option, value)
    assert message.startswith(f"{option}: expected ")
    assert expected in message
    assert f"found '{value}'" in message
