# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of a log line: one JSON object a line, `remote_addr` always the first key.

A log watcher can anchor on the start of the line and finds the client's address there; nothing that
a client sends (path, user agent) can come before it or break the line.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

__all__ = ["event_line", "level_for_status", "request_line"]

MAX_TEXT = 512


def _timestamp(moment: float) -> str:
    """RFC 3339 in UTC with milliseconds. `moment` in seconds since the epoch."""
    text = datetime.fromtimestamp(moment, tz=UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _dump(fields: dict[str, object]) -> str:
    # ASCII only: line separators of other alphabets can't split the line either.
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":"))


def level_for_status(status: int) -> str:
    """5xx is our error, 4xx the client's."""
    if status >= 500:
        return "ERROR"
    return "WARN" if status >= 400 else "INFO"


def request_line(
    *,
    moment: float,
    remote_addr: str,
    method: str,
    path: str,
    route: str,
    status: int,
    duration_ms: float,
    user_agent: str,
    request_id: str,
    message: str,
) -> str:
    """One line for one answered request. `path` is what was asked, `route` the template it matched."""
    return _dump(
        {
            "remote_addr": remote_addr,
            "timestamp": _timestamp(moment),
            "level": level_for_status(status),
            "method": method[:16],
            "path": path[:MAX_TEXT],
            "route": route,
            "status": status,
            "duration_ms": round(duration_ms, 3),
            "user_agent": user_agent[:MAX_TEXT],
            "request_id": request_id,
            "message": message[:MAX_TEXT],
        }
    )


def event_line(*, moment: float, level: str, logger: str, message: str) -> str:
    """One line for something that isn't a request: start, stop, a fault, a library's warning."""
    return _dump(
        {
            "remote_addr": "-",
            "timestamp": _timestamp(moment),
            "level": level,
            "logger": logger,
            "message": message[: 4 * MAX_TEXT],
        }
    )
