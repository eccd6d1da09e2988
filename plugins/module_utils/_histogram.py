# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Durations in constant memory: log-linear buckets of three decimal digits.

Each decade has 900 buckets of equal width, so a value is off by at most half a bucket: 0.5 % at the
lower end of a decade, 0.05 % at its upper end. Below 0.1 ms it is the logs' own resolution, 1 µs,
that counts.
"""

from __future__ import annotations

import math
from collections import Counter

__all__ = ["RELATIVE_ERROR", "Histogram", "bucket", "middle"]

#: How far a quantile may be from the exact one, as a share of it.
RELATIVE_ERROR = 0.005

_LOWEST_DECADE = -3
_HIGHEST_DECADE = 9
_PER_DECADE = 900


def bucket(milliseconds: float) -> int:
    """Return the bucket of a duration; 0 for what is below 1 µs."""
    if not milliseconds >= 10**_LOWEST_DECADE:
        return 0
    decade = min(math.floor(math.log10(milliseconds)), _HIGHEST_DECADE)
    # A value such as 5.12 is a little below itself in binary.
    digits = int(milliseconds / 10.0**decade * 100 + 1e-6)
    if digits < 100:
        decade, digits = decade - 1, 999
    return 1 + (decade - _LOWEST_DECADE) * _PER_DECADE + min(digits, 999) - 100


def middle(index: int) -> float:
    """Return the duration in the middle of a bucket, in milliseconds."""
    if index <= 0:
        return 0.0
    decade, digits = divmod(index - 1, _PER_DECADE)
    return (digits + 100.5) / 100 * 10.0 ** (decade + _LOWEST_DECADE)


class Histogram:
    """Counts by bucket; memory is bounded by the number of buckets, not of values."""

    def __init__(self) -> None:
        """Begin empty."""
        self._counts: Counter[int] = Counter()
        self.count = 0

    def add(self, milliseconds: float, times: int = 1) -> None:
        """Count a duration."""
        self._counts[bucket(milliseconds)] += times
        self.count += times

    def merge(self, other: Histogram) -> None:
        """Count all that another one counted."""
        self._counts.update(other._counts)
        self.count += other.count

    def quantile(self, share: float) -> float:
        """Return the nearest-rank quantile in milliseconds, 0 where nothing was counted."""
        rank, seen = max(1, math.ceil(share * self.count)), 0
        for index in sorted(self._counts):
            seen += self._counts[index]
            if seen >= rank:
                return round(middle(index), 3)
        return 0.0

    def summary(self) -> dict[str, float]:
        """Return the count and the three quantiles that the dashboards show."""
        return {
            "count": self.count,
            "p50_ms": self.quantile(0.5),
            "p95_ms": self.quantile(0.95),
            "p99_ms": self.quantile(0.99),
        }
