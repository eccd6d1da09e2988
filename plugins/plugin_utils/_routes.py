# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shape of Alertmanager's routes and receivers: unknown names, wrong types, durations, matchers.

Alertmanager's own check comes when its package is installed, and calls a route that isn't one a line of Go.

This file is private to the collection.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.koprogo.observability.plugins.plugin_utils._formats import (
    duration_seconds,
)

__all__ = ["receiver_shape_errors", "route_shape_errors", "routes_of"]

_LISTS = ("matchers", "routes", "group_by", "mute_time_intervals", "active_time_intervals")
_DURATIONS = ("group_wait", "group_interval", "repeat_interval")
_ROUTE = ("receiver", "continue", "match", "match_re", *_LISTS, *_DURATIONS)
_MATCHER = re.compile(r"\s*[A-Za-z_:][\w:]*\s*(=~|!=|!~|=).*", re.DOTALL)
# What only looks like one of them is a slip; newer versions have more.
_INTEGRATIONS = tuple(
    f"{name}_configs"
    for name in ("email", "opsgenie", "pagerduty", "slack", "sns", "telegram", "webhook")
)

Route = Mapping[str, Any]


def routes_of(route: Route, where: str = "route") -> Iterator[tuple[str, Route]]:
    """Every route of a sound tree with the path to it, such as C(route.routes[1])."""
    yield where, route
    for number, child in enumerate(route.get("routes") or []):
        yield from routes_of(child, f"{where}.routes[{number}]")


def _near(name: str, known: tuple[str, ...], cutoff: float = 0.7) -> str:
    found = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return found[0] if found else ""


def _duration_error(option: str, value: Any) -> str:
    try:
        # Nobody has to wait for the rest of a group, but the others would be without end.
        if duration_seconds(str(value)) > 0 or option == "group_wait":
            return ""
    except ValueError:
        return f"expected a duration such as 30s or 4h, found '{value}'"
    return f"expected a duration longer than zero, found '{value}'"


def _option_errors(route: Route) -> Iterator[tuple[str, str]]:
    """Option and mistake of one route."""
    for option in map(str, route):
        if option not in _ROUTE:
            near = _near(option, _ROUTE)
            hint = f"did you mean {near}?" if near else f"expected one of {', '.join(_ROUTE)}"
            yield option, f"unknown option of a route; {hint}"
    for option in _LISTS:
        if not isinstance(route.get(option) or [], (list, tuple)):
            yield option, f"expected a list, found '{route[option]}'"
    for option in _DURATIONS:
        if option in route and (problem := _duration_error(option, route[option])):
            yield option, problem
    matchers = route.get("matchers") or []
    for matcher in matchers if isinstance(matchers, (list, tuple)) else []:
        if not _MATCHER.fullmatch(str(matcher)):
            yield "matchers", f"expected a matcher such as team=\"payments\", found '{matcher}'"


def route_shape_errors(route: Any, where: str = "route") -> list[str]:
    """One sentence for each mistake in the shape of a tree of routes."""
    if not isinstance(route, Mapping):
        return [f"alertmanager_{where}: expected a route, found '{route}'"]
    errors = [f"alertmanager_{where}.{option}: {what}" for option, what in _option_errors(route)]
    children = route.get("routes") or []
    for number, child in enumerate(children if isinstance(children, (list, tuple)) else []):
        errors += route_shape_errors(child, f"{where}.routes[{number}]")
    return errors


def receiver_shape_errors(receiver: Mapping[str, Any]) -> list[str]:
    """One sentence for each name in a receiver that looks like another one."""
    where = f"alertmanager_receivers[{receiver.get('name')}]"
    return [
        f"{where}.{key}: unknown integration; did you mean {near}?"
        for key in map(str, receiver)
        if key != "name" and key not in _INTEGRATIONS
        for near in (_near(key, _INTEGRATIONS, 0.9),)
        if near
    ]
