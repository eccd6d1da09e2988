# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The queries of dashboards' JSON, with their variables filled in as Grafana fills them in.

Facts of Grafana that count here: a variable that can take several values is escaped for a regular
expression, and several values are C((a|b)) for Prometheus and C(a|b) for Loki; "All" with a value
of its own is put in as it is; a format (C(${host:pipe})) replaces the escaping.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

__all__ = [
    "ALL",
    "Panel",
    "Query",
    "Span",
    "Variable",
    "annotation_queries",
    "fill",
    "has_data",
    "legend",
    "load",
    "options_query",
    "panel_queries",
    "panels",
    "variables",
]

#: The choice of everything.
ALL = ("$__all",)
_REFERENCE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\[\[(\w+)(?::(\w+))?\]\]|\$(\w+)")
_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_LABEL_VALUES = re.compile(r"^label_values\((?:(.*),)?\s*(\w+)\s*\)$", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A choice at the top of a dashboard."""

    name: str
    query: str
    multi: bool
    include_all: bool
    all_value: str
    regex: str

    def matching(self, found: Sequence[str]) -> list[str]:
        """The options that the variable's own expression leaves over."""
        pattern = re.compile(self.regex.strip("/")) if self.regex else None
        return sorted(one for one in found if pattern is None or pattern.search(one))


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A panel, flattened out of its row."""

    dashboard: str
    number: int
    kind: str
    title: str
    raw: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class Query:
    """One query: of a panel's target, or of an annotation.

    address: C(dashboard/number/letter), or C(dashboard/annotation/name).
    """

    address: str
    datasource: str
    expr: str
    instant: bool
    legend: str = ""
    letter: str = "A"


@dataclass(frozen=True, kw_only=True)
class Span:
    """The chosen time, in seconds since the epoch, and the width in points of a panel."""

    start: float
    end: float
    points: int = 200
    scrape_interval: int = 15

    @property
    def step(self) -> int:
        """Seconds between two points: not shorter than the scrape interval."""
        wanted = (self.end - self.start) / self.points
        steps = (15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
        return next((one for one in steps if one >= wanted), 86400)

    def built_in(self) -> dict[str, str]:
        """Grafana's own variables."""
        length = round(self.end - self.start)
        rate = max(self.step + self.scrape_interval, 4 * self.scrape_interval)
        return {
            "__interval": f"{self.step}s",
            "__interval_ms": str(self.step * 1000),
            "__auto": f"{max(self.step, rate)}s",
            "__rate_interval": f"{rate}s",
            "__range": f"{length}s",
            "__range_s": str(length),
            "__range_ms": str(length * 1000),
            "__from": str(round(self.start * 1000)),
            "__to": str(round(self.end * 1000)),
        }


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """All dashboards of a folder by uid."""
    found = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json")))
    return {one["uid"]: one for one in found}


def variables(dashboard: Mapping[str, Any]) -> list[Variable]:
    """The dashboard's variables in their order: a later one may use an earlier one."""
    result = []
    for one in dashboard.get("templating", {}).get("list", []):
        query = one["query"]
        result.append(
            Variable(
                name=one["name"],
                query=query["query"] if isinstance(query, dict) else query,
                multi=bool(one.get("multi")),
                include_all=bool(one.get("includeAll")),
                all_value=one.get("allValue") or "",
                regex=one.get("regex") or "",
            )
        )
    return result


def panels(dashboard: Mapping[str, Any]) -> Iterator[Panel]:
    """All panels but the rows, those of collapsed rows too."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panels({"uid": dashboard["uid"], "panels": panel.get("panels") or []})
            continue
        yield Panel(
            dashboard=dashboard["uid"],
            number=panel["id"],
            kind=panel["type"],
            title=panel["title"],
            raw=panel,
        )


def panel_queries(panel: Panel) -> list[Query]:
    """The panel's queries in their order."""
    return [
        Query(
            address=f"{panel.dashboard}/{panel.number}/{target['refId']}",
            datasource=target["datasource"]["type"],
            expr=target["expr"],
            instant=bool(target.get("instant")) or target.get("queryType") == "instant",
            legend=target.get("legendFormat") or "",
            letter=target["refId"],
        )
        for target in panel.raw.get("targets") or []
    ]


def legend(form: str, labels: Mapping[str, str]) -> str:
    """A series' name as Grafana makes it from a legend's form."""
    if form and form != "__auto":
        return _LABEL.sub(lambda found: labels.get(found[1], ""), form).strip()
    rest = {key: value for key, value in labels.items() if key != "__name__"}
    if not rest:
        return labels.get("__name__", "")
    return "{" + ", ".join(f'{key}="{value}"' for key, value in sorted(rest.items())) + "}"


def annotation_queries(dashboard: Mapping[str, Any]) -> list[Query]:
    """The queries that mark points in time."""
    return [
        Query(
            address=f"{dashboard['uid']}/annotation/{one['name']}",
            datasource=one["datasource"]["type"],
            expr=one["expr"],
            instant=False,
        )
        for one in dashboard.get("annotations", {}).get("list", [])
        if one["datasource"]["type"] in ("prometheus", "loki")
    ]


def options_query(query: str) -> tuple[str, str]:
    """Selector and label of a variable's C(label_values(selector, label))."""
    found = _LABEL_VALUES.match(query.strip())
    if found is None:
        raise ValueError(f"expected label_values(selector, label), found {query!r}")
    return (found[1] or "").strip(), found[2]


def _escaped(value: str) -> str:
    # Twice: once for the regular expression, once for the string that it is in.
    value = value.replace("\\", "\\\\\\\\")
    return re.sub(r"[$^*{}\[\]+?.()|]", lambda found: "\\\\" + found[0], value)


def _as_selected(variable: Variable, values: Sequence[str], datasource: str) -> str:
    if not (variable.multi or variable.include_all):
        return values[0].replace("\\", "\\\\").replace('"', '\\"')
    escaped = [_escaped(value) for value in values]
    if len(escaped) == 1:
        return escaped[0]
    joined = "|".join(escaped)
    return f"({joined})" if datasource == "prometheus" else joined


def _formatted(values: Sequence[str], form: str) -> str:
    if form == "regex":
        escaped = [re.sub(r"[\\^$.*+?()[\]{}|/]", r"\\\g<0>", value) for value in values]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
    if form == "percentencode":
        return quote(values[0] if len(values) == 1 else f"{{{','.join(values)}}}", safe="")
    joint = {"pipe": "|", "csv": ",", "raw": ","}
    if form not in joint:
        raise ValueError(f"format {form!r}: expected one of pipe, csv, raw, regex, percentencode")
    return joint[form].join(values)


def fill(
    text: str,
    *,
    chosen: Mapping[str, Sequence[str]],
    known: Sequence[Variable],
    span: Span,
    datasource: str = "prometheus",
) -> str:
    """C(text) with all variables filled in; an unknown one is an error, as it is a typing error.

    chosen: variable to its values, C(ALL) for everything.
    """
    by_name = {variable.name: variable for variable in known}
    built_in = span.built_in()

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[3] or found[5]
        form = found[2] or found[4] or ""
        if name in built_in:
            return built_in[name]
        if name.isdigit():
            # A group of a regular expression, which Grafana leaves alone too.
            return found[0]
        if name not in by_name:
            raise ValueError(f"variable {name!r} is not of this dashboard: {text}")
        variable = by_name[name]
        values = tuple(chosen.get(name, ALL))
        if values == ALL:
            return variable.all_value
        if not values:
            raise ValueError(f"variable {name!r}: expected a value, found none")
        return _formatted(values, form) if form else _as_selected(variable, values, datasource)

    return _REFERENCE.sub(value, text)


def has_data(result: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether there is a line, or a sample that is a number."""
    for series in result:
        samples = series.get("values") or ([series["value"]] if "value" in series else [])
        for _time, sample in samples:
            try:
                if not math.isnan(float(sample)):
                    return True
            except ValueError:
                return True
    return False
