# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Questions to a running Loki: retention, marked lines, queries."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._stack import (
    MARK,
    Check,
    Question,
    failed,
    passed,
    skipped,
)
from ansible_collections.koprogo.observability.plugins.module_utils._stack_api import (
    Api,
    seconds,
)

__all__ = ["loki_questions", "yaml_scalars"]

_BILLION = 1_000_000_000
# Marked lines are looked for from this long before they were written: clocks differ.
_SLACK = 60
_LIMIT = "5000"


def yaml_scalars(text: str) -> dict[str, str]:
    """The scalars of a YAML mapping by their dotted path, enough for Loki's own C(/config).

    Python's standard library has no YAML, and hosts need no more than it. Lists are left out.
    """
    scalars: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        body = line.strip()
        if not body or body.startswith(("#", "-")) or ":" not in body:
            continue
        indent = len(line) - len(line.lstrip())
        key, _colon, value = body.partition(":")
        while path and path[-1][0] >= indent:
            path.pop()
        path.append((indent, key.strip()))
        if value.strip():
            scalars[".".join(name for _indent, name in path)] = value.strip().strip("\"'")
    return scalars


def _retention(api: Api, expected: str) -> list[Check]:
    check = "retention of logs"
    config = yaml_scalars(api.text("/config"))
    actual = config.get("limits_config.retention_period", "")
    deletes = config.get("compactor.retention_enabled", "false")
    look = f"{api.curl('/config')} | grep -n retention"
    if seconds(actual) != seconds(expected):
        evidence = f"runs with {actual or 'none'}, configured is {expected}"
        return [failed(check, api.where, evidence, look)]
    if deletes != "true":
        evidence = "compactor.retention_enabled is false: nothing is ever deleted"
        return [failed(check, api.where, evidence, look)]
    return [passed(check, api.where, f"{actual}, compactor deletes")]


def _lines(api: Api, query: str, since: float) -> list[dict[str, Any]]:
    """Streams that a log query selects since a Unix time in seconds."""
    found: list[dict[str, Any]] = api.data(
        "/loki/api/v1/query_range",
        query=query,
        start=str(int(since * _BILLION)),
        end=str(int((time.time() + _SLACK) * _BILLION)),
        limit=_LIMIT,
        direction="backward",
    )["result"]
    return found


def _arrived(api: Api, marks: Iterable[Mapping[str, Any]]) -> list[Check]:
    """One check for each mark: its line is in Loki under its job and its host."""
    wanted = list(marks)
    since = min(float(mark["written"]) for mark in wanted) - _SLACK
    query = f'{{job=~".+"}} |= "{MARK}"'
    seen: set[tuple[str, str, str]] = set()
    for stream in _lines(api, query, since):
        labels = stream["stream"]
        for _moment, line in stream["values"]:
            for mark in wanted:
                if mark["token"] in line:
                    seen.add((labels.get("job", ""), labels.get("host", ""), mark["token"]))
    now = time.time()
    checks = []
    for mark in wanted:
        check = f"log arrives: {mark['job']}"
        if (mark["job"], mark["host"], mark["token"]) in seen:
            age = now - float(mark["written"])
            checks.append(passed(check, mark["host"], f"in {api.where}'s Loki within {age:.0f} s"))
            continue
        elsewhere = sorted({f"job={j}, host={h}" for j, h, t in seen if t == mark["token"]})
        evidence = f"its marked line {mark['token']} isn't in {api.where}'s Loki"
        if elsewhere:
            evidence += (
                f" under job={mark['job']}, host={mark['host']} (but: {'; '.join(elsewhere)})"
            )
        look = "systemctl status log-collector; journalctl -u log-collector -n 50 --no-pager"
        checks.append(failed(check, mark["host"], evidence, look))
    return checks


def _query(api: Api, entry: Mapping[str, str], since: float, *, marked: bool) -> list[Check]:
    check, query = f"LogQL: {entry['name']}", entry["query"]
    streams = _lines(api, query, since)
    lines = sum(len(stream["values"]) for stream in streams)
    if lines:
        return [passed(check, api.where, f"{lines} lines in {len(streams)} streams")]
    if not marked:
        return [
            skipped(check, api.where, "no such line, and without marked lines there need be none")
        ]
    look = api.curl("/loki/api/v1/query_range", query=query, since="1h")
    return [failed(check, api.where, f"no data: {query}", look)]


def loki_questions(api: Api, options: Mapping[str, Any]) -> list[Question]:
    """All questions to Loki.

    options: C(retention), C(marks) as L(write_marks) returns them, C(queries) with C(name) and
    C(query).
    """
    marks = options["marks"]
    questions: list[Question] = [
        api.asked("retention of logs", lambda: _retention(api, options["retention"]))
    ]
    if marks:
        questions.append(api.asked("log arrives", lambda: _arrived(api, marks)))
        since = min(float(mark["written"]) for mark in marks) - _SLACK
    else:
        since = time.time() - 3600
    marked_jobs = {mark["job"] for mark in marks}
    questions += [
        api.asked(
            f"LogQL: {entry['name']}",
            partial(_query, api, entry, since, marked=entry.get("job") in marked_jobs),
        )
        for entry in options["queries"]
    ]
    return questions
