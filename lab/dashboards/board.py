# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dashboard from its rows of panels: grid, variables, annotations, links to the other dashboards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from lab.dashboards.kit import LOKI, PROMETHEUS, PanelBuilder
from lab.dashboards.links import RUNBOOKS, alert_links
from plugins.plugin_utils._panels import DASHBOARDS

__all__ = ["Board", "Row", "Variable", "deployment", "host", "render"]

_COLUMNS = 24
# Rows are panels too; their numbers must not meet the panels'.
_FIRST_ROW_NUMBER = 1000


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A choice at the top of a dashboard, filled from a label."""

    name: str
    label: str
    query: str
    regex: str = ""
    # What "All" stands for: anything, also no such label. Empty: each option by name.
    all_value: str = ".*"


@dataclass(frozen=True)
class Row:
    """A heading and its panels, each with the number that is its address for ever."""

    title: str
    panels: Sequence[tuple[int, PanelBuilder]]
    collapsed: bool = False


@dataclass(frozen=True, kw_only=True)
class Board:
    """One dashboard."""

    uid: str
    about: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = ()
    since: str = "now-3h"
    refresh: str = "30s"


def deployment() -> Variable:
    """The choice that every dashboard has."""
    return Variable(name="deployment", label="Deployment", query="label_values(up, deployment)")


def host(job: str) -> Variable:
    """The hosts with a scrape job, of the chosen deployments."""
    query = f'label_values(up{{job=~"{job}", deployment=~"$deployment"}}, host)'
    return Variable(name="host", label="Host", query=query)


def _variable(one: Variable) -> builders.QueryVariable:
    variable = (
        builders.QueryVariable(one.name)
        .label(one.label)
        .datasource(PROMETHEUS)
        .query({"query": one.query, "refId": f"variable-{one.name}"})
        .definition(one.query)
        .regex(one.regex)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .allow_custom_value(False)
        .current(models.VariableOption(selected=True, text="All", value="$__all"))
    )
    return variable.all_value(one.all_value) if one.all_value else variable


def _annotations() -> list[Builder[models.AnnotationQuery]]:
    chosen = 'deployment=~"$deployment"'
    return [
        builders.AnnotationQuery()
        .name("Alerts")
        .datasource(PROMETHEUS)
        .enable(True)
        .icon_color("red")
        .expr(f'ALERTS{{alertstate="firing", alertname!="Watchdog", {chosen}}}')
        .step("30s")
        .title_format("{{alertname}}")
        .text_format("{{severity}} {{host}}")
        .tag_keys("severity,host"),
        builders.AnnotationQuery()
        .name("API started (deploy or restart)")
        .datasource(PROMETHEUS)
        .enable(True)
        .icon_color("blue")
        .expr(f'process_start_time_seconds{{job="koprogo-api", {chosen}}} * 1000')
        .step("60s")
        .use_value_for_time(True)
        .title_format("API started")
        .text_format("{{host}}")
        .tag_keys("host"),
        builders.AnnotationQuery()
        .name("Remediations")
        .datasource(LOKI)
        .enable(True)
        .icon_color("purple")
        .expr(f'{{job="koprogo-remediation", {chosen}}} | json')
        .title_format("Remediation")
        .text_format("{{alert}} on {{host}}: {{outcome}}")
        .tag_keys("host"),
    ]


def _links() -> list[Builder[models.DashboardLink]]:
    return [
        builders.DashboardLink("Dashboards")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags(["koprogo"])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True),
        builders.DashboardLink("Runbooks")
        .type(models.DashboardLinkType.LINK)
        .icon("doc")
        .url(f"{RUNBOOKS}/README.md")
        .target_blank(True),
    ]


def _place(panels: Sequence[models.Panel], top: int) -> int:
    """Put panels side by side below C(top), a new line where one doesn't fit; return the end."""
    left = below = 0
    line = top
    for panel in panels:
        size = panel.grid_pos or models.GridPos()
        if left + size.w > _COLUMNS:
            left, line, below = 0, line + below, 0
        panel.grid_pos = models.GridPos(x=left, y=line, w=size.w, h=size.h)
        left += size.w
        below = max(below, size.h)
    return line + below


def _built(board: Board) -> models.Dashboard:
    builder = (
        builders.Dashboard(DASHBOARDS[board.uid])
        .uid(board.uid)
        .description(board.about)
        .tags(["koprogo"])
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .time(board.since, "now")
        .refresh(board.refresh)
        .timezone("browser")
        .variables([_variable(one) for one in board.variables])
        .annotations(_annotations())
        .links(_links())
    )
    dashboard = builder.build()
    dashboard.panels = []
    top = 0
    for index, row in enumerate(board.rows):
        panels = []
        for number, panel in row.panels:
            links = alert_links(board.uid, number)
            panels.append((panel.id(number).links(links) if links else panel.id(number)).build())
        heading = builders.Row(row.title).id(_FIRST_ROW_NUMBER + index).collapsed(row.collapsed)
        heading = heading.grid_pos(models.GridPos(x=0, y=top, w=_COLUMNS, h=1))
        built = heading.build()
        bottom = _place(panels, top + 1)
        dashboard.panels.append(built)
        if row.collapsed:
            built.panels = panels
            top += 1
        else:
            dashboard.panels += panels
            top = bottom
    return dashboard


def _without_placement(value: object) -> object:
    """The library hides every link and annotation in a menu; Grafana's default shows them."""
    if isinstance(value, dict):
        return {
            key: _without_placement(one)
            for key, one in value.items()
            if (key, one) != ("placement", "inControlsMenu")
        }
    return [_without_placement(one) for one in value] if isinstance(value, list) else value


def render(board: Board) -> str:
    """The dashboard's JSON, the same for the same code."""
    built = json.loads(json.dumps(_built(board), cls=JSONEncoder))
    return json.dumps(_without_placement(built), indent=2, sort_keys=True) + "\n"
