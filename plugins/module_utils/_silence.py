# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Silences of Alertmanager: always with an end, never for everything."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    ProbeError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._probe import Answer, fetch

__all__ = ["Matcher", "Silences", "Wish", "matchers_of"]

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_LONGEST = 7 * 86_400.0
# What an expression that matches these, and nothing at all, doesn't match isn't worth a name.
_PROBES = ("", "a", "Z9", "koprogo-api:8080", "\u20ac")


@dataclass(frozen=True, order=True, kw_only=True)
class Matcher:
    """A label's condition as Alertmanager has it."""

    name: str
    value: str
    regex: bool = False
    equal: bool = True

    def as_api(self) -> dict[str, Any]:
        """The form of the API."""
        return {
            "name": self.name,
            "value": self.value,
            "isRegex": self.regex,
            "isEqual": self.equal,
        }

    @property
    def matched(self) -> int:
        """How many of some very different values it matches."""
        if self.regex:
            hits = [re.fullmatch(self.value, probe) is not None for probe in _PROBES]
        else:
            hits = [self.value == probe for probe in _PROBES]
        return sum(hit == self.equal for hit in hits)


def matchers_of(options: Sequence[Mapping[str, Any]]) -> tuple[Matcher, ...]:
    """Matchers of a module's option; InputError if they don't narrow anything down."""
    found = []
    for number, option in enumerate(options):
        where = f"matchers[{number}]"
        if not _NAME.fullmatch(option["name"]):
            raise InputError(f"{where}.name: expected a label's name, found '{option['name']}'.")
        matcher = Matcher(
            name=option["name"],
            value=option["value"],
            regex=option["regex"],
            equal=option["equal"],
        )
        try:
            hits = matcher.matched
        except re.error as error:
            raise InputError(f"{where}.value: not a regular expression: {error}.") from error
        if matcher.regex and matcher.equal and hits == len(_PROBES):
            raise InputError(
                f"{where}: expected a condition, found one that every alert meets ({matcher.name} "
                f"'{matcher.value}')."
            )
        found.append(matcher)
    # One that says what a label is; what it isn't, or that it is anything, leaves nearly all alerts.
    if not any(m.equal and m.value and m.matched <= 1 for m in found):
        raise InputError(
            "matchers: expected at least one that names a label's value, found none. "
            "A silence of nearly everything would hide the next incident."
        )
    return tuple(sorted(set(found)))


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A silence as it is to be. C(duration) in seconds from now."""

    matchers: tuple[Matcher, ...]
    comment: str
    author: str
    duration: float

    def check(self) -> Wish:
        """InputError for one without a comment or an end."""
        if not self.comment.strip():
            raise InputError("comment: expected a sentence that says why, found none.")
        if not 60 <= self.duration <= _LONGEST:
            raise InputError(
                f"duration: expected seconds from 60 to {_LONGEST:.0f}, found {self.duration:g}."
            )
        return self


class Silences:
    """Alertmanager's silences, by matchers and comment."""

    def __init__(
        self,
        url: str,
        *,
        fetch: Callable[..., Answer] = fetch,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``url`` of Alertmanager, without a path of the API."""
        self._url, self._fetch, self._now = f"{url.rstrip('/')}/api/v2", fetch, now

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        answer = self._fetch(
            f"{self._url}{path}", method=method, headers=headers, data=data, timeout=10.0
        )
        if answer.error:
            raise ProbeError(f"Alertmanager does not answer at {self._url}: {answer.error}")
        if answer.status != 200:
            text = " ".join(answer.body.split())[:300]
            raise ProbeError(f"Alertmanager answered {answer.status} to {method} {path}: {text}")
        try:
            return json.loads(answer.body) if answer.body.strip() else {}
        except ValueError as error:
            raise ProbeError(f"Alertmanager answered no JSON to {method} {path}.") from error

    def find(self, matchers: Sequence[Matcher], comment: str) -> list[dict[str, Any]]:
        """Silences of exactly these matchers and this comment that are not over."""
        wanted = set(matchers)
        found = []
        for row in self._ask("GET", "/silences"):
            same = {
                Matcher(
                    name=m["name"],
                    value=m["value"],
                    regex=m["isRegex"],
                    equal=m.get("isEqual", True),
                )
                for m in row["matchers"]
            }
            if row["status"]["state"] != "expired" and same == wanted and row["comment"] == comment:
                found.append(row)
        return sorted(found, key=lambda row: str(row["endsAt"]))

    def present(self, wish: Wish, *, check: bool) -> dict[str, Any]:
        """Create it, or extend it when less than half of its time is left."""
        rows = self.find(wish.matchers, wish.comment)
        now = self._now()
        current = rows[-1] if rows else None
        if current is not None:
            left = _unix(current["endsAt"]) - now
            if left >= wish.duration / 2:
                return _told("none", current["id"], current["endsAt"])
        body: dict[str, Any] = {
            "matchers": [matcher.as_api() for matcher in wish.matchers],
            "startsAt": current["startsAt"] if current else _iso(now),
            "endsAt": _iso(now + wish.duration),
            "createdBy": wish.author,
            "comment": wish.comment,
        }
        if current is not None:
            body["id"] = current["id"]
        name = current["id"] if current else ""
        if not check:
            name = self._ask("POST", "/silences", body)["silenceID"]
        return _told("extend" if current else "create", name, body["endsAt"])

    def absent(self, matchers: Sequence[Matcher], comment: str, *, check: bool) -> dict[str, Any]:
        """End it now."""
        rows = self.find(matchers, comment)
        for row in rows:
            if not check:
                self._ask("DELETE", f"/silence/{row['id']}")
        return _told("expire" if rows else "none", rows[-1]["id"] if rows else "", "")


def _told(action: str, name: str, ends: str) -> dict[str, Any]:
    return {"changed": action != "none", "action": action, "silence_id": name, "ends_at": ends}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _unix(text: str) -> float:
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).timestamp()
