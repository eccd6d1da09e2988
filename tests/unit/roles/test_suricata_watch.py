"""The watch of Suricata reads the counters under the engine's own names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.role_lab import program

ARMED = [{"rules_loaded": 9, "rules_failed": 0}]
# The names that the programs of Debian 12 (6.0.10), its backports and Debian 13 (7.0.10) hold.
CALM: dict[str, dict[str, int]] = {
    "capture": {"kernel_packets": 70, "kernel_drops": 7},
    "detect": {"alert": 3, "alert_queue_overflow": 0},
    "flow": {"memcap": 0, "memuse": 7_394_304, "emerg_mode_entered": 0},
    "tcp": {
        "memuse": 1_212_416,
        "reassembly_memuse": 196_608,
        "segment_memcap_drop": 0,
        "ssn_memcap_drop": 0,
    },
}


def figures(counters: Mapping[str, Any] | str) -> dict[str, int]:
    watch: Any = program(
        "suricata",
        "etc/koprogo/suricata/watch.j2",
        suricata_textfile_directory="/nowhere",
    )
    watch.ask = lambda *commands: [ARMED, counters]
    found, problems = watch.look()
    assert problems == []
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("part", "name"),
    [("tcp", "ssn_memcap_drop"), ("tcp", "segment_memcap_drop"), ("flow", "memcap")],
)
def test_want_of_memory_is_counted(part: str, name: str) -> None:
    assert figures(CALM)["memory_capped"] == 0
    assert figures({**CALM, part: {**CALM[part], name: 5}})["memory_capped"] == 5


def test_packets_and_alerts() -> None:
    found = figures(CALM)
    assert (found["packets"], found["dropped_packets"], found["alerts"]) == (70, 7, 3)


def test_an_engine_that_has_not_counted_yet() -> None:
    found = figures("stats not yet synchronized")
    assert found["memory_capped"] == found["packets"] == 0
