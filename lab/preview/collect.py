# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page draws: each panel of a dashboard with the data that its queries returned."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lab.panel_check import Answer, Stack, everything, options, request
from lab.panels import (
    Panel,
    Query,
    Span,
    annotation_queries,
    fill,
    legend,
    panel_queries,
    panels,
    variables,
)
from lab.preview.marks import marks

__all__ = ["collect"]


def _number(text: str) -> float | None:
    value = float(text)
    return None if math.isnan(value) or math.isinf(value) else value


def _overrides(panel: Panel, name: str) -> dict[str, Any]:
    """The properties that a panel gives one series or column of its own."""
    found: dict[str, Any] = {}
    for one in panel.raw.get("fieldConfig", {}).get("overrides") or []:
        matcher = one["matcher"]
        if matcher["id"] == "byName":
            fits = matcher["options"] == name
        else:
            fits = re.search(matcher["options"].strip("/"), name) is not None
        if fits:
            found |= {entry["id"]: entry.get("value") for entry in one["properties"]}
    return found


def _series(
    panel: Panel, query: Query, result: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    found = []
    for one in result:
        samples = one.get("values") or ([one["value"]] if "value" in one else [])
        name = legend(query.legend, one.get("metric", {}))
        points = [[float(moment) * 1000, _number(sample)] for moment, sample in samples]
        if any(value is not None for _moment, value in points):
            found.append({"name": name, "points": points, "own": _overrides(panel, name)})
    return found


def _lines(result: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    found = []
    for stream in result:
        labels = stream["stream"]
        origin = f"{labels.get('host', '')} {labels.get('job', '')}"
        found += [[int(moment) / 1e6, origin, text] for moment, text in stream["values"]]
    return sorted(found, key=lambda line: -float(line[0]))


def _table(
    panel: Panel, results: Sequence[tuple[Query, Sequence[Mapping[str, Any]]]]
) -> dict[str, Any]:
    """Rows by their labels, the columns in the order and with the names that the panel gives."""
    organize = next(
        one["options"] for one in panel.raw["transformations"] if one["id"] == "organize"
    )
    order = organize["indexByName"]
    rows: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for query, result in results:
        value = "Value" if len(results) == 1 else f"Value #{query.letter}"
        for one in result:
            key = tuple(
                sorted((name, text) for name, text in one["metric"].items() if name in order)
            )
            rows.setdefault(key, dict(key))[value] = _number(one["value"][1])
    names = sorted(order, key=lambda name: int(order[name]))
    heads = [organize["renameByName"][name] for name in names]
    body: list[list[Any]] = [[row.get(name) for name in names] for row in rows.values()]
    for sort in panel.raw.get("options", {}).get("sortBy") or []:
        at = heads.index(sort["displayName"])
        body.sort(key=lambda row: -math.inf if row[at] is None else row[at], reverse=sort["desc"])
    return {
        "columns": [{"name": head, "own": _overrides(panel, head)} for head in heads],
        "rows": body,
    }


def _panel(panel: Panel, answers: Sequence[tuple[Query, Answer]]) -> dict[str, Any]:
    results = [(query, answer.result()) for query, answer in answers if answer.status == 200]
    drawn: dict[str, Any] = {
        "id": panel.number,
        "kind": panel.kind,
        "title": panel.title,
        "about": panel.raw.get("description", ""),
        "place": panel.raw["gridPos"],
        "field": panel.raw.get("fieldConfig", {}).get("defaults", {}),
        "options": panel.raw.get("options", {}),
        "links": [link["title"] for link in panel.raw.get("links") or []],
        "errors": [answer.body[:200] for _query, answer in answers if answer.status != 200],
    }
    if panel.kind == "table":
        drawn["table"] = _table(panel, results)
        drawn["empty"] = not drawn["table"]["rows"]
    elif panel.kind == "logs":
        drawn["lines"] = [line for _query, result in results for line in _lines(result)]
        drawn["empty"] = not drawn["lines"]
    elif panel.kind != "text":
        drawn["series"] = [
            one for query, result in results for one in _series(panel, query, result)
        ]
        drawn["empty"] = not drawn["series"]
    return drawn


def collect(stack: Stack, dashboard: Mapping[str, Any], span: Span) -> dict[str, Any]:
    """All that the page of a dashboard needs."""
    known = variables(dashboard)
    choices, _answers = options(stack, known, span)
    chosen = everything(known, choices)
    found = list(panels(dashboard))
    marked = annotation_queries(dashboard)
    queries = [(panel, query) for panel in found for query in panel_queries(panel)]
    urls = []
    for query in (*marked, *(query for _panel_of, query in queries)):
        expr = fill(query.expr, chosen=chosen, known=known, span=span, datasource=query.datasource)
        urls.append(request(stack, query, expr, span, most=100))
    replies = stack.fetch(urls)
    answers: dict[int, list[tuple[Query, Answer]]] = {}
    for (panel, query), answer in zip(queries, replies[len(marked) :], strict=True):
        answers.setdefault(panel.number, []).append((query, answer))
    return {
        "uid": dashboard["uid"],
        "title": dashboard["title"],
        "about": dashboard.get("description", ""),
        "start": span.start * 1000,
        "end": span.end * 1000,
        "variables": [{"label": one.name, "options": choices[one.name]} for one in known],
        "rows": [
            {"title": panel["title"], "place": panel["gridPos"]}
            for panel in dashboard["panels"]
            if panel["type"] == "row"
        ],
        "marks": marks(dashboard, list(zip(marked, replies, strict=False)), span),
        "panels": [_panel(panel, answers.get(panel.number, [])) for panel in found],
    }
