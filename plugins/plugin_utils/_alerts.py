# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an alert is: its rules as text with open places, and the settings that fill them.

An expression has a C($name) for each numeric setting, C($hosts) for the matcher that narrows it to some
hosts (empty for all of them; it follows another matcher), and C($le) for the label of the bucket
that ends at C($seconds) or C($threshold).

This file is private to the collection.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Template
from typing import Any

from ansible_collections.koprogo.observability.plugins.plugin_utils._formats import (
    duration_seconds,
)

__all__ = [
    "SEVERITIES",
    "Alert",
    "Choice",
    "Duration",
    "Flag",
    "Number",
    "Setting",
    "Tier",
    "snake",
]

SEVERITIES = ("critical", "warning", "info")


def snake(name: str) -> str:
    """C(api_down) for C(ApiDown): the name of an alert's page and playbook."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One thing of an alert that a user may set; C(what) says what it means."""

    default: Any
    what: str = ""

    def problem(self, value: Any) -> str:
        """What was expected instead of this value, or an empty string."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Number(Setting):
    """A number between two bounds; a share of a whole is one from 0 to 1."""

    low: float = 0
    high: float = float("inf")

    def problem(self, value: Any) -> str:
        """See the base class."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isinf(value):
            return "expected a number"
        if self.low <= value <= self.high:
            return ""
        if self.high == float("inf"):
            return f"expected a number of at least {self.low:g}"
        return f"expected a number from {self.low:g} to {self.high:g}"


@dataclass(frozen=True, kw_only=True)
class Duration(Setting):
    """A duration in Prometheus' notation, C(0s) for none; low is the shortest one that makes sense."""

    low: str = "0s"

    def problem(self, value: Any) -> str:
        """See the base class."""
        try:
            seconds = duration_seconds(str(value) if isinstance(value, str) else "")
        except ValueError:
            return "expected a duration such as 0s, 30s or 1h30m"
        return "" if seconds >= duration_seconds(self.low) else f"expected at least {self.low}"


@dataclass(frozen=True, kw_only=True)
class Flag(Setting):
    """Yes or no."""

    def problem(self, value: Any) -> str:
        """See the base class."""
        return "" if isinstance(value, bool) else "expected true or false"


@dataclass(frozen=True, kw_only=True)
class Choice(Setting):
    """One of some words."""

    among: tuple[str, ...]

    def problem(self, value: Any) -> str:
        """See the base class."""
        return "" if value in self.among else f"expected one of {', '.join(self.among)}"


_KEEP = Duration(default="0s", what="how long it goes on after the condition ended")


@dataclass(frozen=True, kw_only=True)
class Tier:
    """One rule of an alert: its expression, and which settings are its C(for) and its severity."""

    expr: str
    hold: str = "for"
    severity: str = "severity"
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert of the catalogue.

    source: who evaluates it, C(prometheus) or C(loki). group: the group that its rules are in.
    per_host: whether it concerns one host, and so may be set for a host alone.
    labels: the labels that its expression leaves, for use in the texts.
    logs: LogQL of the lines to read, with C($hosts) and settings as in an expression.
    playbook: whether a remediation playbook exists.
    """

    name: str
    group: str
    component: str
    summary: str
    description: str
    value: str
    logs: str
    tiers: tuple[Tier, ...]
    severity: str = "warning"
    hold: str = "0s"
    severities: tuple[str, ...] = SEVERITIES
    threshold: Setting | None = None
    further: Mapping[str, Setting] = field(default_factory=dict)
    labels: tuple[str, ...] = ("deployment", "host", "instance")
    per_host: bool = True
    source: str = "prometheus"
    playbook: bool = False

    @property
    def settings(self) -> dict[str, Setting]:
        """All that can be set, by name."""
        return {
            "enabled": Flag(default=True, what="whether the alert exists"),
            **({"threshold": self.threshold} if self.threshold else {}),
            "for": Duration(default=self.hold, what="how long before it fires"),
            "severity": Choice(
                default=self.severity, among=self.severities, what="how urgent it is"
            ),
            # Loki drops it from a rule (grafana/loki#7450).
            **({"keep_firing_for": _KEEP} if self.source == "prometheus" else {}),
            **self.further,
        }

    def lines(self, matcher: str = "", settings: Mapping[str, Any] | None = None) -> str:
        """LogQL of the lines to read; matcher: what narrows it, beginning with a comma."""
        return Template(self.logs).substitute(settings or self.defaults, hosts=matcher)

    @property
    def defaults(self) -> dict[str, Any]:
        """The value of each setting unless a user says otherwise."""
        return {name: setting.default for name, setting in self.settings.items()}
