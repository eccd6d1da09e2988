# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""The API's log lines, one JSON object each, taken apart a block at a time.

JSON is read field by field only where it has to be. An encoder writes the same keys in the same order
each time: from one line a regular expression is made that takes whole blocks apart, some ten times
faster than a JSON parser. It walks through the complete strings before the last wanted field, so what
a client sent in one of them is never taken for a field. A line that it doesn't fit, such as
one with an escaped character, goes through the JSON parser.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

__all__ = [
    "Event",
    "Request",
    "Shape",
    "fields_of",
    "learn_shape",
    "read_line",
    "route_field",
    "route_of",
]

_TIME = rb"([0-9]{4}-[0-9T:.-]{15,25}Z)"
# Three significant digits, as many as the histogram has; the rest of the number is passed over.
_DURATION = rb"(0\.[0-9]{1,3}|[0-9]\.[0-9]{1,2}|[0-9]{2}\.[0-9]|[0-9]++)[0-9.]*+"
_STATUS = rb"[1-5][0-9]{2}"
_STRING = rb'"[^"\\\n]*+"'
_TEXT = rb'"[^"\\\n]++"'
_FIELD = re.compile(rb'"(method|route|status)": ?(?:"([^"]*)"|([0-9]{3}))')
_NUMBER = rb"-?[0-9.]++"
_IDENTIFIER = re.compile(
    r"[0-9]+|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-fA-F]{16,}"
    r"|(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{20,}"
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One answered request; ``at`` is RFC 3339 in UTC, ``duration`` in milliseconds."""

    at: str
    method: str
    path: str
    route: str
    status: int
    duration: float
    request_id: str


@dataclass(frozen=True, kw_only=True)
class Event:
    """A line that is no request: start, stop, an error of a library."""

    at: str
    level: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How one encoder writes a request.

    ``order`` says what the pattern's groups are: timestamp, duration_ms, path, or other fields with
    their names, and at last the whole of a line that doesn't fit, which is odd; ``status`` is what stands
    before a status.
    """

    pattern: re.Pattern[bytes]
    order: tuple[str, ...]
    status: bytes


@lru_cache(maxsize=16384)
def route_of(path: str) -> str:
    """Return a path with its identifiers replaced: C(/users/17) and C(/users/18) are one route."""
    plain = path.partition("?")[0].partition("#")[0]
    parts = ["{id}" if _IDENTIFIER.fullmatch(part) else part for part in plain.split("/")]
    return "/".join(parts)[:200] or "/"


def read_line(line: bytes) -> Request | Event | None:
    """Read one line by JSON; None for a damaged one."""
    try:
        data = json.loads(line)
        if not isinstance(data, dict):
            return None
        at = _utc(data["timestamp"])
        if "duration_ms" not in data or "status" not in data:
            return Event(
                at=at,
                level=str(data.get("level", "")).upper(),
                message=str(data.get("message", ""))[:300],
            )
        path, route = str(data.get("path", "")), str(data.get("route", ""))
        return Request(
            at=at,
            method=str(data.get("method", ""))[:16],
            path=path.partition("?")[0][:200],
            route=route[:200] or route_of(path),
            status=_status(data["status"]),
            duration=_duration(data["duration_ms"]),
            request_id=str(data.get("request_id", ""))[:64],
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def learn_shape(line: bytes) -> Shape | None:
    """Make the pattern for lines that are written as this one; None if it is no plain request."""
    try:
        pairs: Any = json.loads(line, object_pairs_hook=list)
    except (ValueError, RecursionError):
        return None
    names = [name for name, _value in pairs] if isinstance(pairs, list) else []
    route = "route" if "route" in names else "path"
    wanted = {"timestamp", "method", "status", "duration_ms", route}
    if not wanted <= set(names) or len(names) != len(set(names)):
        return None
    comma, colon = (rb", ", rb": ") if b'": ' in line else (rb",", rb":")
    parts: list[bytes] = []
    order: list[str] = []
    for name, value in pairs[: 1 + max(names.index(name) for name in wanted)]:
        key = re.escape(json.dumps(name).encode()) + colon
        if not (piece := _piece(name, value, wanted)):
            return None
        if name in ("timestamp", "duration_ms"):
            parts.append(key + piece)
            order.append(name)
        elif name not in wanted:
            parts.append(key + piece)
        elif name != "path" and order[-1:] == ["fields"] and parts[-1].endswith(b")"):
            # Neighbours are one group: a group fewer, a text fewer for each line.
            parts[-1] = parts[-1][:-1] + comma + key + piece + b")"
        else:
            parts.append(b"(" + key + piece + b")")
            order.append("path" if name == "path" else "fields")
    # What doesn't fit is a row of its own, empty but for its last group: rows and lines stay in step.
    pattern = rb"(?:\{" + comma.join(parts) + rb"[,}][^\n]*+|([^\n]*+))\n"
    order.append("odd")
    quote = b'"' if isinstance(dict(pairs)["status"], str) else b""
    return Shape(
        pattern=re.compile(pattern), order=tuple(order), status=b'"status"' + colon + quote
    )


def _piece(name: str, value: object, wanted: Container[str]) -> bytes:
    """Return the pattern of one field's value, empty for a value that has parts of its own."""
    special = {"timestamp": _TIME, "status": _STATUS, "duration_ms": _DURATION}
    if name in special and name in wanted:
        return b'"' + special[name] + b'"' if isinstance(value, str) else special[name]
    if isinstance(value, str):
        return _TEXT if name in wanted else _STRING
    if isinstance(value, bool) or value is None:
        return rb"(?:true|false|null)"
    if isinstance(value, int | float):
        return _NUMBER
    return b""


def route_field(path_field: bytes) -> bytes:
    """Turn C("path":"/users/17") into C("route":"/users/{id}")."""
    path = path_field.split(b'"', 4)[3].decode("utf-8", "replace")
    return b'"route":"' + route_of(path).encode() + b'"'


@lru_cache(maxsize=4096)
def fields_of(text: bytes) -> tuple[str, str, int]:
    """Return method, route and status of the groups' texts of one line, put together."""
    found = {
        name: value for name, quoted, bare in _FIELD.findall(text) for value in (quoted or bare,)
    }
    return (
        found[b"method"].decode("utf-8", "replace"),
        found[b"route"].decode("utf-8", "replace"),
        int(found[b"status"]),
    )


def _utc(text: str) -> str:
    """Return a time as C(2026-01-31T23:59:59.000Z), so that times compare as texts."""
    if len(text) == 24 and text[23] == "Z" and text[10] == "T":
        return text
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _status(value: object) -> int:
    status = int(str(value))
    if not 100 <= status <= 599:
        raise ValueError(value)
    return status


def _duration(value: object) -> float:
    duration = float(str(value))
    if not 0 <= duration < 1e9:
        raise ValueError(value)
    return duration
