# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Slow and failing routes of the API in a window of time, from its log."""

from __future__ import annotations

import heapq
import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial, reduce
from itertools import filterfalse
from operator import add, itemgetter
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._api_log import (
    Event,
    Request,
    Shape,
    fields_of,
    learn_shape,
    read_line,
    route_field,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._histogram import Histogram
from ansible_collections.koprogo.observability.plugins.module_utils._log_files import (
    blocks,
    log_files,
)

__all__ = ["ApiLog", "Window", "read_log", "seconds_of"]

# Lines are written when a request ends and carry the time of its begin: that much out of order.
_SLACK = timedelta(seconds=120)
_DISTINCT = 50_000
_ROUTES = 500
_SHAPES = 8
_OTHER = "(other)"
_CUT = 64 * 1024
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Row = tuple[bytes, ...]


def seconds_of(text: str, *, option: str) -> float:
    """Read C(90s), C(15m), C(2h), C(1d), or plain seconds."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        seconds = float(number) * _UNITS[unit]
        if not 0 < seconds < 1e9:
            raise ValueError
    except ValueError:
        raise InputError(
            f"{option}: expected a time such as 90s, 15m, 2h or 1d, found '{text}'."
        ) from None
    return seconds


@dataclass(frozen=True, kw_only=True)
class Window:
    """From and to, both in UTC and both in the window, in the form of the log."""

    since: str
    until: str

    @staticmethod
    def of(*, since: str, until: str, duration: str, now: float | None = None) -> Window:
        """Read the options: C(duration) counts back from C(until) unless C(since) is given."""
        end = _moment(until, "until") if until else datetime.fromtimestamp(now or time.time(), UTC)
        length = timedelta(seconds=seconds_of(duration, option="duration"))
        begin = _moment(since, "since") if since else end - length
        if begin >= end:
            raise InputError(f"since: expected a time before {_text(end)}, found {_text(begin)}.")
        return Window(since=_text(begin), until=_text(end))

    @property
    def begin(self) -> float:
        """The beginning as a Unix time in seconds."""
        return datetime.fromisoformat(self.since).timestamp()

    def before(self, line: bytes) -> bool:
        """Whether a line is so old that none after it on its left can be in the window."""
        found = read_line(line)
        limit = _text(datetime.fromisoformat(self.since) - _SLACK)
        return found is not None and found.at < limit


@dataclass(kw_only=True)
class _Route:
    """What is known of one method and route."""

    histogram: Histogram = field(default_factory=Histogram)
    statuses: Counter[int] = field(default_factory=Counter)


@dataclass(kw_only=True)
class _Failure:
    """One failing method, route and status."""

    count: int = 0
    first: str = ""
    last: str = ""


class ApiLog:
    """Takes blocks of lines and keeps a bounded summary of them."""

    def __init__(self, window: Window, *, slowest: int, failing_from: int) -> None:
        """Keep the ``slowest`` requests, and count those that failed with ``failing_from`` or above."""
        self._window = window
        self._since, self._until = window.since.encode(), window.until.encode()
        self._wanted = slowest
        # The class of a status is its first digit.
        self._failing = (b"5",) if failing_from >= 500 else (b"4", b"5")
        self._shapes: list[Shape] = []
        self._pending: Counter[bytes] = Counter()
        self._routes: dict[tuple[str, str], _Route] = {}
        self._failures: dict[tuple[str, str, int], _Failure] = {}
        self._slowest: list[tuple[float, int, Request]] = []
        self._serial = itertools.count()
        self._errors: deque[Event] = deque(maxlen=10)
        self.lines = self.requests = self.events = self.damaged = self.outside = 0

    def add(self, data: bytes) -> None:
        """Take a block of whole lines."""
        if not self._shapes:
            self._learn(data.split(b"\n", 50)[:50])
        shape = self._shapes[-1] if self._shapes else None
        if shape is None:
            self.lines += data.count(b"\n")
            self._odd(data.split(b"\n")[:-1], data.count(b"\n"))
            return
        rows: list[Row] = shape.pattern.findall(data)
        self.lines += len(rows)
        good = rows
        if odd := [row[-1] for row in filterfalse(itemgetter(0), rows)]:
            self._odd(odd, len(rows))
            good = list(filter(itemgetter(0), rows))
        if good:
            self._rows(shape, good, rows, data)

    def _learn(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            if len(self._shapes) < _SHAPES and (shape := learn_shape(line)):
                self._shapes.append(shape)
                return

    def _odd(self, odd: Sequence[bytes], of: int) -> None:
        """Read by JSON what the pattern leaves; if that is much, the writer has changed."""
        for line in odd:
            if line.strip():
                self._line(line)
        if len(odd) * 2 > of:
            self._learn(odd[:50])

    def _line(self, line: bytes) -> None:
        found = read_line(line)
        if found is None:
            self.damaged += 1
        elif not self._window.since <= found.at <= self._window.until:
            self.outside += 1
        elif isinstance(found, Event):
            self.events += 1
            if found.level in ("ERROR", "CRITICAL", "FATAL"):
                self._errors.append(found)
        else:
            self.requests += 1
            self._count(found.method, found.route, found.status, found.duration, 1)
            if str(found.status)[:1].encode() in self._failing:
                self._fail(found.method, found.route, found.status, found.at)
            self._offer(found)

    def _rows(self, shape: Shape, good: list[Row], rows: list[Row], data: bytes) -> None:
        """Count the C(good) ones among the C(rows), of which there is one for each line of C(data)."""
        place, found = shape.order.index("timestamp"), list(zip(*good, strict=True))
        if min(found[place]) < self._since or max(found[place]) > self._until:
            since, until = self._since, self._until
            inside = [row for row in good if since <= row[place] <= until]
            self.outside += len(good) - len(inside)
            if not inside:
                return
            found = list(zip(*inside, strict=True))
        times, durations = found[place], found[shape.order.index("duration_ms")]
        self.requests += len(times)
        # One text for each line is what counts fastest; it is taken apart once for each distinct one.
        columns: list[Iterable[bytes]] = [
            map(route_field, column) if kind == "path" else column
            for kind, column in zip(shape.order, found, strict=True)
            if kind in ("path", "fields")
        ]
        texts = tuple(reduce(partial(map, add), columns))
        self._pending.update(map(add, durations, texts))
        if len(self._pending) > _DISTINCT:
            self._settle()
        tokens = [shape.status + digit for digit in self._failing]
        if any(token in data for token in tokens):
            # By minute: an incident may fail a million times.
            minutes = Counter(
                (text, at[:16])
                for token in tokens
                for text, at in zip(texts, times, strict=True)
                if token in text
            )
            for (text, minute), count in minutes.items():
                self._fail(*fields_of(text), minute.decode(), count)
        if self._wanted and max(map(float, durations)) >= self._threshold():
            self._slow(shape, rows, data)

    def _slow(self, shape: Shape, rows: list[Row], data: bytes) -> None:
        """Read by JSON the lines that are among the slowest so far."""
        place, least = shape.order.index("duration_ms"), self._threshold()
        for row, line in zip(rows, data.split(b"\n"), strict=False):
            if row[place] and float(row[place]) >= least:
                found = read_line(line)
                if (
                    isinstance(found, Request)
                    and self._window.since <= found.at <= self._window.until
                ):
                    self._offer(found)

    def _threshold(self) -> float:
        """Return the least duration, cut to three digits as in the rows, that is among the slowest."""
        if len(self._slowest) < self._wanted:
            return 0.0
        return float(f"{self._slowest[0][0] * 0.99:.3f}")

    def _offer(self, request: Request) -> None:
        item = (request.duration, next(self._serial), request)
        if len(self._slowest) < self._wanted:
            heapq.heappush(self._slowest, item)
        elif self._wanted and request.duration > self._slowest[0][0]:
            heapq.heapreplace(self._slowest, item)

    def _settle(self) -> None:
        """Move what was counted by text into the routes' histograms."""
        for key, times in self._pending.items():
            # The fields begin with the quote of a name, behind the duration.
            duration, quote, fields = key.partition(b'"')
            self._count(*fields_of(quote + fields), float(duration), times)
        self._pending.clear()

    def _count(self, method: str, route: str, status: int, duration: float, times: int) -> None:
        key = (method, route)
        if key not in self._routes and len(self._routes) >= _ROUTES:
            key = ("", _OTHER)
        if (entry := self._routes.get(key)) is None:
            entry = self._routes[key] = _Route()
        entry.histogram.add(duration, times)
        entry.statuses[status] += times

    def _fail(self, method: str, route: str, status: int, at: str, times: int = 1) -> None:
        key = (method, route, status)
        if key not in self._failures and len(self._failures) >= _ROUTES:
            key = ("", _OTHER, status)
        entry, minute = self._failures.setdefault(key, _Failure()), at[:16]
        entry.count += times
        entry.first = min(entry.first or minute, minute)
        entry.last = max(entry.last, minute)

    # Result

    def result(self, *, top: int) -> dict[str, Any]:
        """Return the summary: routes by P99, failures by count, the slowest requests."""
        self._settle()
        whole, statuses = Histogram(), Counter[int]()
        routes = []
        for (method, route), entry in self._routes.items():
            whole.merge(entry.histogram)
            statuses.update(entry.statuses)
            row: dict[str, Any] = {"method": method, "route": route}
            row |= entry.histogram.summary()
            row["statuses"] = {str(key): entry.statuses[key] for key in sorted(entry.statuses)}
            routes.append(row)
        routes.sort(key=lambda row: (-row["p99_ms"], -row["count"], row["route"]))
        failures: list[dict[str, Any]] = [
            {
                "method": method,
                "route": route,
                "status": status,
                "count": entry.count,
                "first_minute": f"{entry.first}Z",
                "last_minute": f"{entry.last}Z",
            }
            for (method, route, status), entry in self._failures.items()
        ]
        failures.sort(key=lambda row: (-row["count"], row["route"]))
        failed = sum(entry.count for entry in self._failures.values())
        slowest = sorted(self._slowest, key=lambda item: (-item[0], item[1]))
        return {
            "window": {"since": self._window.since, "until": self._window.until},
            "overall": {
                **whole.summary(),
                "statuses": {str(key): statuses[key] for key in sorted(statuses)},
            },
            "routes": routes[:top],
            "routes_seen": len(routes),
            "failing": failures[:top],
            "failing_requests": failed,
            "failing_share": round(failed / max(1, whole.count), 4),
            "first_failing_minute": min((row["first_minute"] for row in failures), default=""),
            "slowest": [_sample(request) for _ms, _serial, request in slowest],
            "errors": [asdict(event) for event in sorted(self._errors, key=lambda e: e.at)[::-1]],
            "lines": {
                "read": self.lines,
                "requests": self.requests,
                "events": self.events,
                "outside_window": self.outside,
                "damaged": self.damaged,
            },
        }


def read_log(
    path: str,
    window: Window,
    *,
    slowest: int = 10,
    top: int = 20,
    failing_from: int = 500,
    limit: int = 4 * 1024**3,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Read a log and its rotated files, newest first, at most ``limit`` bytes; return the summary.

    InputError where there is no log.
    """
    files = log_files(path)
    if not files:
        raise InputError(f"path: expected the API's log at {path}, found no such file.", path=path)
    log = ApiLog(window, slowest=slowest, failing_from=failing_from)
    started, left, read, truncated = clock(), limit, [], False
    problems: list[str] = []
    for file in files:
        # What was written last before the window began holds nothing of it.
        if file.changed_at < window.begin:
            continue
        if left <= 0:
            truncated = True
            break
        used = 0
        try:
            for data, damaged in blocks(file, limit=left, before_window=window.before):
                log.damaged += damaged
                used += len(data)
                if data:
                    log.add(data)
        except OSError as error:
            problems.append(f"{file.path}: {error.strerror or error}")
            continue
        # The part of a line at the cut isn't counted as used.
        truncated = truncated or (file.size > left and used + _CUT >= left)
        left -= used
        read.append({"path": file.path, "bytes": used})
    result = log.result(top=top)
    return {
        **result,
        "files": read,
        "problems": problems,
        "truncated": truncated,
        "seconds": round(clock() - started, 3),
    }


def _sample(request: Request) -> dict[str, Any]:
    return {
        "timestamp": request.at,
        "method": request.method,
        "path": request.path,
        "route": request.route,
        "status": request.status,
        "duration_ms": request.duration,
        "request_id": request.request_id,
    }


def _moment(text: str, option: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{option}: expected a time such as 2026-01-31T23:59:00Z, found '{text}'."
        ) from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
