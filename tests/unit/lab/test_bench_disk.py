# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The race with find ends, and its table says what was measured."""

from __future__ import annotations

from pathlib import Path

from lab.bench_disk import Race, _race, summary


def test_a_small_race_ends(tmp_path: Path) -> None:
    race = _race(tmp_path, 20, ours_first=True, cache="warm")
    assert race.ours >= race.planned > 0
    assert race.mib > 0
    assert list(tmp_path.iterdir()) == []


def test_the_table() -> None:
    text = summary(
        [Race(find=10.0, ours=12.0, planned=2.0, mib=20.0)], 1000, place="ext4", cache="cold"
    )
    assert "1000 small files on ext4, cold caches" in text
    assert "| 1 | 10.0 s | 12.0 s | 2.0 s | 1.20 | 20 MiB |" in text
    assert "Median ratio: 1.20; of the deletion alone: 1.00." in text
