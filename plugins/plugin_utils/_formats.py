# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Formats of option values that an argument specification can't express, told by the option's name.

This file is private to the collection.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

__all__ = ["duration_seconds", "format_error", "port_problem"]

# Prometheus' own notation: https://prometheus.io/docs/prometheus/latest/querying/basics/#time-durations
_DURATION = re.compile(
    r"(?:(?P<y>\d+)y)?(?:(?P<w>\d+)w)?(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?"
    r"(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s)?(?:(?P<ms>\d+)ms)?"
)
_SECONDS = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}
_SIZE = re.compile(r"0|[1-9]\d*(?:B|KB|MB|GB|TB|PB|EB)")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HIGHEST_PORT = 65_535


def duration_seconds(text: str) -> float:
    """Seconds in a Prometheus duration such as C(30d) or C(1h30m); ValueError for anything else."""
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(text)
    return sum(int(n) * _SECONDS[unit] for unit, n in match.groupdict().items() if n)


def _duration(value: Any) -> str:
    try:
        seconds = duration_seconds(str(value))
    except ValueError:
        return "expected a duration such as 15s, 12h or 30d"
    return "" if seconds > 0 else "expected a duration longer than zero"


def _retention(value: Any) -> str:
    problem = _duration(value)
    if problem:
        return problem
    if duration_seconds(str(value)) < _SECONDS["d"]:
        return "expected a retention of at least 1d"
    return ""


def _size(value: Any) -> str:
    return "" if _SIZE.fullmatch(str(value)) else "expected a size such as 512MB or 20GB"


def port_problem(value: Any) -> str:
    """What was expected where the value is no TCP port, or an empty text."""
    text = str(value)
    if text.isdigit() and 1 <= int(text) <= _HIGHEST_PORT:
        return ""
    return f"expected a TCP port from 1 to {_HIGHEST_PORT}"


def _sha256(value: Any) -> str:
    if _SHA256.fullmatch(str(value)):
        return ""
    return "expected a SHA-256 of 64 lower-case hexadecimal digits"


# The first suffix that fits decides.
_BY_SUFFIX: tuple[tuple[str, Callable[[Any], str]], ...] = (
    ("_retention_size", _size),
    ("_retention", _retention),
    ("_interval", _duration),
    ("_timeout", _duration),
    ("_port", port_problem),
    ("_sha256", _sha256),
)


def format_error(option: str, value: Any) -> str:
    """What is wrong with an option's value, or an empty string.

    Only plain values are judged: an empty one means the default, a structured one has its own
    rules in the argument specification.
    """
    if value in (None, "") or isinstance(value, (dict, list)):
        return ""
    for suffix, check in _BY_SUFFIX:
        if option.endswith(suffix):
            problem = check(value)
            return f"{option}: {problem}, found '{value}'" if problem else ""
    return ""
