# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dashboard's annotations mark in its graphs: points in time and spans of it, as Grafana does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from lab.panel_check import Answer
from lab.panels import Query, Span, legend

__all__ = ["marks"]


def _runs(moments: Sequence[float], step: float) -> list[tuple[float, float]]:
    """First and last moment of each unbroken run of samples."""
    ends = [at for at, (one, other) in enumerate(pairwise(moments), 1) if other - one > 1.5 * step]
    starts = [0, *ends] if moments else []
    return [
        (moments[first], moments[after - 1])
        for first, after in zip(starts, [*ends, len(moments)], strict=False)
    ]


def _spans(
    definition: Mapping[str, Any], one: Mapping[str, Any], span: Span
) -> list[tuple[float, float]]:
    """Begin and end of what one series or stream marks, in seconds; the same for a point."""
    if "stream" in one:
        return [(int(moment) / 1e9,) * 2 for moment, _line in one["values"]]
    if definition.get("useValueForTime"):
        values = sorted({float(value) / 1000 for _moment, value in one["values"]})
        return [(value, value) for value in values if span.start <= value <= span.end]
    return _runs([float(moment) for moment, _value in one["values"]], span.step)


def marks(
    dashboard: Mapping[str, Any], answers: Sequence[tuple[Query, Answer]], span: Span
) -> list[dict[str, Any]]:
    """Title, colour, begin and end in ms of each mark.

    answers: those of C(annotation_queries), in their order.
    """
    definitions = {one["name"]: one for one in dashboard.get("annotations", {}).get("list", [])}
    found = []
    for query, answer in answers:
        definition = definitions[query.address.rpartition("/annotation/")[2]]
        for one in answer.result() if answer.status == 200 else []:
            labels = one.get("metric") or one["stream"]
            words = (legend(definition[form], labels) for form in ("titleFormat", "textFormat"))
            title = ": ".join(filter(None, words))
            found += [
                {
                    "title": title,
                    "color": definition["iconColor"],
                    "start": start * 1000,
                    "end": end * 1000,
                }
                for start, end in _spans(definition, one, span)
            ]
    return found
