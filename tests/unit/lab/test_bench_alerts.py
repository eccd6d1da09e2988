# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of rules, dashboards and notifications: what is measured, and how it is shown."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_catalogue import ALERTS
from ansible_collections.koprogo.observability.plugins.plugin_utils._topology import scrape_jobs
from lab.bench_faults import FAULTS, Metric
from lab.bench_notify import Delay, Try
from lab.bench_notify import section as notify_section
from lab.bench_page import put, renewed, with_section
from lab.bench_rules import Asked, Load
from lab.bench_rules import section as rules_section
from lab.bench_series import lab_hosts, labels_of
from lab.remote_write import labels_field, request_body, sample_field

PAGE = "# Benchmarks\n\n## One\n\n1\n\n## Two\n\n2\n"


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("## One\n\nnew", "# Benchmarks\n\n## One\n\nnew\n\n## Two\n\n2\n"),
        ("## Two\n\nnew\n", "# Benchmarks\n\n## One\n\n1\n\n## Two\n\nnew\n"),
        ("## Three\n\n3", PAGE + "\n## Three\n\n3\n"),
    ],
)
def test_a_bench_writes_its_own_section_only(section: str, expected: str, tmp_path: Path) -> None:
    assert with_section(PAGE, section) == expected
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    for _again in range(2):
        put(section, page)
        assert page.read_text() == expected


def test_a_request_is_a_snappy_literal_of_sorted_labels_and_a_sample() -> None:
    body = request_body(
        [(labels_field({"job": "x", "__name__": "up", "none": ""}), sample_field(1.0, 300))]
    )
    # By the specifications: length, literal's tag, length less one; then field 1, the series.
    inside = b"\x0a\x0e\x0a\x08__name__\x12\x02up" + b"\x0a\x08\x0a\x03job\x12\x01x"
    sample = b"\x12\x0c\x09" + struct.pack("<d", 1.0) + b"\x10\xac\x02"
    series = inside + sample
    message = b"\x0a" + bytes([len(series)]) + series
    assert body == bytes([len(message)]) + b"\xfc" + struct.pack("<I", len(message) - 1) + message


def test_ten_times_the_hosts_are_ten_times_the_series_of_each_target() -> None:
    def counted(scale: int) -> int:
        groups, hostvars = lab_hosts(scale)
        found = list(labels_of(scrape_jobs(groups["monitoring"][0], groups, hostvars)))
        assert len({str(sorted(one.items())) for one in found}) == len(found)
        assert {one["host"] for one in found} == set(groups["all"])
        return len(found)

    # Releases alternate, so the ratio is near ten and not ten.
    assert 9 < counted(10) / counted(1) < 11


def test_every_one_of_the_eight_has_a_fault() -> None:
    assert [fault.alert for fault in FAULTS] != []
    assert {fault.alert for fault in FAULTS} == {a.name for a in ALERTS.values() if a.playbook}


def test_a_host_is_well_until_its_fault() -> None:
    fault = next(fault for fault in FAULTS if fault.alert == "DatabaseDown")
    one = Try(host="h", fault=fault, began=1000)
    assert one.page(999) == "pg_up 1\n"
    assert one.page(1001) == "pg_up 0\n"
    down = next(fault for fault in FAULTS if fault.alert == "ApiDown")
    assert Try(host="h", fault=down, began=1000).page(999) != ""
    assert Try(host="h", fault=down, began=1000).page(1001) == ""


def test_a_counter_never_falls() -> None:
    metric = Metric(series="x_total", rate=10, jump=100, then=5)
    values = [metric.at(well, 0) for well in (0, 10)] + [metric.at(10, sick) for sick in (1, 2)]
    assert values == [0, 100, 205, 210]


def test_the_delays_are_shown_beside_what_they_may_be() -> None:
    delay = Delay(
        alert="SlowApi",
        channels=["slack"],
        product="5m",
        hold="30s",
        condition=10,
        most=100,
        seconds=[60.2, 70.4, 65.1],
    )
    text = notify_section([delay])
    assert "| SlowApi | slack | 30s (5m) | 10 s | 100 s | 65 s | 70 s |" in text
    assert "3 tries" in text


def test_the_loads_are_shown_with_their_ratio() -> None:
    def load(factor: int) -> Load:
        return Load(
            hosts=3 * factor,
            series=4000 * factor,
            rules=60,
            groups={"a": 0.001 * factor, "b": 0.01 * factor},
            queries=[
                Asked(address="x/1/A", seconds=0.1 * factor, found=True),
                Asked(address="y/2/A", seconds=0.2 * factor, found=False),
            ],
        )

    text = rules_section([load(1), load(10)])
    assert "| | 3 hosts | 30 hosts | ratio |" in text
    assert "| all rule groups | 11 ms | 110 ms | 10.0 |" in text
    assert "| slowest group, b | 10 ms | 100 ms | 10.0 |" in text
    assert "| of y | 0.20 s | 2.00 s | 10.0 |" in text
    assert "| slowest query, y/2/A | 200 ms | 2000 ms | 10.0 |" in text
    assert "all 2 PromQL queries" in text


def test_a_renewed_page_keeps_what_other_benches_wrote() -> None:
    page = "# Benchmarks\n\nOld.\n\n## One\n\nold\n\n## Two\n\nkept\n"
    new = "# Benchmarks\n\nNew.\n\n## One\n\nnew\n"
    assert renewed(page, new) == "# Benchmarks\n\nNew.\n\n## One\n\nnew\n\n## Two\n\nkept\n"
