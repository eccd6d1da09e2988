# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all dashboards share: queries, panels with a description and a unit, thresholds, value names.

A panel is a builder of grafana-foundation-sdk; the functions here only fix what must be the same
everywhere, so that a dashboard's file reads as a list of panels and their queries.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from grafana_foundation_sdk.builders import (
    bargauge,
    heatmap,
    logs,
    loki,
    prometheus,
    stat,
    statetimeline,
    table,
    text,
    timeseries,
)
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models import prometheus as prometheus_models
from grafana_foundation_sdk.models import text as text_models
from grafana_foundation_sdk.models.loki import LokiQueryDirection

__all__ = [
    "LOKI",
    "PROMETHEUS",
    "UP_DOWN",
    "Level",
    "PanelBuilder",
    "bars",
    "column",
    "graph",
    "heat",
    "lines",
    "log_metric",
    "log_panel",
    "named",
    "note",
    "number",
    "on_right_axis",
    "prom",
    "records",
    "states",
]

PROMETHEUS = common.DataSourceRef(type_val="prometheus", uid="prometheus")
_MIXED = common.DataSourceRef(type_val="datasource", uid="-- Mixed --")
LOKI = common.DataSourceRef(type_val="loki", uid="loki")

PanelBuilder = Any
# From this value on, this colour; the first level has no value.
Level = tuple[float | None, str]
_GREEN: Sequence[Level] = ((None, "green"),)


def prom(expr: str, legend: str = "", *, instant: bool = False, heat: bool = False) -> Any:
    """A PromQL query; the dashboard's letters are given when the panel is built."""
    query = prometheus.Dataquery().expr(_tidy(expr)).datasource(PROMETHEUS)
    query = query.instant() if instant else query.range()
    if heat:
        query = query.format(prometheus_models.PromQueryFormat.HEATMAP)
    return query.legend_format(legend or "__auto")


def lines(expr: str, most: int = 200) -> Any:
    """A LogQL query for lines, newest first."""
    query = loki.Dataquery().expr(_tidy(expr)).datasource(LOKI).query_type("range")
    return query.max_lines(most).direction(LokiQueryDirection.BACKWARD)


def log_metric(expr: str, legend: str = "", *, instant: bool = False) -> Any:
    """A LogQL query for numbers made from lines."""
    query = loki.Dataquery().expr(_tidy(expr)).datasource(LOKI)
    return query.query_type("instant" if instant else "range").legend_format(legend)


def _tidy(expr: str) -> str:
    return re.sub(r"\s*\n\s*", " ", expr).strip()


def _thresholds(levels: Sequence[Level]) -> builders.ThresholdsConfig:
    steps = [models.Threshold(value=value, color=color) for value, color in levels]
    return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def named(names: Mapping[str, tuple[str, str]]) -> models.ValueMap:
    """Values that are shown as a word in a colour: C({value: (word, colour)})."""
    return models.ValueMap(
        options={
            value: models.ValueMappingResult(text=word, color=color, index=index)
            for index, (value, (word, color)) in enumerate(names.items())
        }
    )


UP_DOWN = named({"0": ("down", "red"), "1": ("up", "green")})


def _common(
    panel: Any,
    title: str,
    about: str,
    unit: str,
    *queries: Any,
    size: tuple[int, int],
) -> Any:
    for index, query in enumerate(queries):
        panel.with_target(query.ref_id(chr(ord("A") + index)))
    sources = {query.build().datasource.uid: query.build().datasource for query in queries}
    datasource = next(iter(sources.values()), PROMETHEUS) if len(sources) < 2 else _MIXED
    width, height = size
    panel = panel.title(title).description(about).datasource(datasource)
    return panel.unit(unit).span(width).height(height)


def graph(
    title: str,
    about: str,
    unit: str,
    *queries: Any,
    size: tuple[int, int] = (12, 8),
    levels: Sequence[Level] = (),
    stacked: bool = False,
    drawn_as_bars: bool = False,
    low: float | None = 0,
    high: float | None = None,
    decimals: int | None = None,
    colors: Mapping[str, str] | None = None,
) -> Any:
    """Curves over time. Levels are drawn as lines: what an alert judges shows its limit."""
    panel = _common(timeseries.Panel(), title, about, unit, *queries, size=size)
    panel = (
        panel.line_width(1)
        .fill_opacity(60 if drawn_as_bars else 25 if stacked else 8)
        .show_points(common.VisibilityMode.NEVER)
        .tooltip(
            common_builders.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull"])
        )
    )
    if drawn_as_bars:
        panel = panel.draw_style(common.GraphDrawStyle.BARS)
    if stacked:
        panel = panel.stacking(
            common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A")
        )
    if levels:
        panel = panel.thresholds(_thresholds(levels)).thresholds_style(
            common_builders.GraphThresholdsStyleConfig().mode(
                common.GraphThresholdsStyleMode.DASHED
            )
        )
    for name, color in (colors or {}).items():
        fixed = {"mode": "fixed", "fixedColor": color}
        panel = panel.override_by_name(
            name, [models.DynamicConfigValue(id_val="color", value=fixed)]
        )
    return _range(panel, low, high, decimals)


def _range(panel: Any, low: float | None, high: float | None, decimals: int | None) -> Any:
    if low is not None:
        panel = panel.min(low)
    if high is not None:
        panel = panel.max(high)
    return panel if decimals is None else panel.decimals(decimals)


def on_right_axis(panel: Any, pattern: str, unit: str, high: float | None = None) -> Any:
    """Give the series whose name matches a pattern their own axis and unit."""
    properties = [
        models.DynamicConfigValue(id_val="unit", value=unit),
        models.DynamicConfigValue(id_val="custom.axisPlacement", value="right"),
        models.DynamicConfigValue(
            id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 6]}
        ),
        models.DynamicConfigValue(id_val="custom.fillOpacity", value=0),
    ]
    if high is not None:
        properties.append(models.DynamicConfigValue(id_val="max", value=high))
    return panel.override_by_regexp(pattern, properties)


def number(
    title: str,
    about: str,
    unit: str,
    *queries: Any,
    size: tuple[int, int] = (4, 4),
    levels: Sequence[Level] = _GREEN,
    names: models.ValueMap | None = None,
    decimals: int | None = None,
    empty: str = "",
    curve: bool = True,
) -> Any:
    """One large number for each series, with its history behind it."""
    panel = _common(stat.Panel(), title, about, unit, *queries, size=size)
    panel = (
        panel.graph_mode(common.BigValueGraphMode.AREA if curve else common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .thresholds(_thresholds(levels))
    )
    if names is not None:
        panel = panel.mappings([names])
    if empty:
        panel = panel.no_value(empty)
    return _range(panel, None, None, decimals)


def or_else(panel: Any, text: str) -> Any:
    """What a panel says instead of "No data": that nothing happened, or why nobody looks."""
    return panel.no_value(text)


def bars(
    title: str,
    about: str,
    unit: str,
    *queries: Any,
    size: tuple[int, int] = (12, 8),
    levels: Sequence[Level] = _GREEN,
    low: float | None = 0,
    high: float | None = None,
) -> Any:
    """The latest value of each series as a horizontal bar."""
    panel = _common(bargauge.Panel(), title, about, unit, *queries, size=size)
    panel = (
        panel.orientation(common.VizOrientation.HORIZONTAL)
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .thresholds(_thresholds(levels))
    )
    return _range(panel, low, high, None)


def states(
    title: str,
    about: str,
    *queries: Any,
    names: models.ValueMap = UP_DOWN,
    size: tuple[int, int] = (12, 8),
) -> Any:
    """A band for each series whose colour is its state at that time."""
    panel = _common(statetimeline.Panel(), title, about, "none", *queries, size=size)
    return (
        panel.mappings([names])
        .show_value(common.VisibilityMode.NEVER)
        .merge_values(True)
        .row_height(0.8)
        .fill_opacity(80)
        .line_width(0)
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )


def heat(title: str, about: str, unit: str, query: Any, size: tuple[int, int] = (12, 8)) -> Any:
    """A histogram over time: how many requests took how long."""
    panel = _common(heatmap.Panel(), title, about, unit, query, size=size)
    axis = heatmap.YAxisConfig().unit(unit).axis_placement(common.AxisPlacement.LEFT)
    colors = heatmap.HeatmapColorOptions().mode(heatmap_models.HeatmapColorMode.SCHEME)
    # The buckets come from the query as they are.
    return panel.calculate(False).y_axis(axis).color(colors.scheme("Oranges").steps(64))


def records(
    title: str,
    about: str,
    unit: str,
    *queries: Any,
    columns: Mapping[str, str],
    size: tuple[int, int] = (12, 8),
    sort: str = "",
    empty: str = "",
) -> Any:
    """A table of instant queries, one row for each set of labels.

    columns: label or C(Value #<letter>) to the column's heading, in this order; all others go.
    """
    panel = _common(table.Panel(), title, about, unit, *queries, size=size)
    for query in queries:
        query.format(prometheus_models.PromQueryFormat.TABLE)
    fields = dict(columns)
    if len(queries) == 1:
        fields = {("Value" if name == "Value #A" else name): head for name, head in fields.items()}
    for transformation in (
        models.DataTransformerConfig(id_val="merge", options={}),
        models.DataTransformerConfig(
            id_val="filterFieldsByName", options={"include": {"names": list(fields)}}
        ),
        models.DataTransformerConfig(
            id_val="organize",
            options={
                "indexByName": {name: index for index, name in enumerate(fields)},
                "renameByName": fields,
                "excludeByName": {},
            },
        ),
    ):
        panel = panel.with_transformation(transformation)
    if empty:
        panel = panel.no_value(empty)
    if sort:
        panel = panel.sort_by(
            [common_builders.TableSortByFieldState().display_name(sort).desc(True)]
        )
    return panel.cell_height(common.TableCellHeight.SM)


def column(
    panel: Any,
    name: str,
    *,
    unit: str = "",
    levels: Sequence[Level] = (),
    names: models.ValueMap | None = None,
    links: Sequence[Mapping[str, object]] = (),
) -> Any:
    """Give one column of a table its own unit, colours, words or links."""
    properties = []
    if unit:
        properties.append(models.DynamicConfigValue(id_val="unit", value=unit))
    if levels:
        steps = [{"value": value, "color": color} for value, color in levels]
        properties += [
            models.DynamicConfigValue(
                id_val="thresholds", value={"mode": "absolute", "steps": steps}
            ),
            models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
        ]
    if names is not None:
        properties.append(models.DynamicConfigValue(id_val="mappings", value=[names]))
        if any(one.color for one in names.options.values()):
            properties.append(
                models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"})
            )
    if links:
        properties.append(models.DynamicConfigValue(id_val="links", value=list(links)))
    return panel.override_by_name(name, properties)


def log_panel(
    title: str, about: str, query: Any, size: tuple[int, int] = (24, 9), *, labels: bool = False
) -> Any:
    """Log lines, newest first."""
    panel = _common(logs.Panel(), title, about, "none", query, size=size)
    return (
        panel.show_time(True)
        .show_labels(labels)
        .wrap_log_message(True)
        .enable_log_details(True)
        .sort_order(common.LogsSortOrder.DESCENDING)
        .dedup_strategy(common.LogsDedupStrategy.NONE)
    )


def note(title: str, about: str, markdown: str, size: tuple[int, int]) -> Any:
    """A text."""
    panel = _common(text.Panel(), title, about, "none", size=size)
    return panel.mode(text_models.TextMode.MARKDOWN).content(markdown)
