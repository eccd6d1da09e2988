# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalogue of alerts, and what users set of it: judged, merged, split where hosts differ.

C(prometheus_alerts) of the monitoring hosts holds for the deployment, C(koprogo_alerts) of a host for that
host alone.

This file is private to the collection.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts import Alert
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_logs import LOG_ALERTS
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_product import (
    PRODUCT_ALERTS,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_security import (
    SECURITY_ALERTS,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_slo import SLO_ALERTS
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_stack import (
    STACK_ALERTS,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._formats import (
    duration_seconds,
)

__all__ = [
    "ALERTS",
    "DEPLOYMENT_VARIABLE",
    "HOST_VARIABLE",
    "Variant",
    "interval_errors",
    "own_rule_errors",
    "settings_errors",
    "variants",
]

DEPLOYMENT_VARIABLE = "prometheus_alerts"
HOST_VARIABLE = "koprogo_alerts"

#: Every alert by its name, in the order of the documentation.
ALERTS: Mapping[str, Alert] = {
    alert.name: alert
    for alert in (*PRODUCT_ALERTS, *SLO_ALERTS, *LOG_ALERTS, *SECURITY_ALERTS, *STACK_ALERTS)
}

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

Overrides = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """An alert with its settings for some hosts.

    matcher: what narrows a selector to these hosts, beginning with a comma; empty for all.
    """

    alert: Alert
    settings: Mapping[str, Any]
    matcher: str = ""


def _near(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


def _alert_errors(where: str, alert: Alert, given: Any) -> list[str]:
    if not isinstance(given, Mapping):
        return [
            f"{where}: expected a dictionary of settings such as 'threshold', "
            f"found {type(given).__name__}"
        ]
    errors = []
    for name, value in given.items():
        setting = alert.settings.get(str(name))
        if setting is None:
            known = ", ".join(alert.settings)
            hint = _near(str(name), alert.settings) or f"; expected one of {known}"
            errors.append(f"{where}.{name}: unknown setting{hint}")
        elif problem := setting.problem(value):
            errors.append(f"{where}.{name}: {problem}, found '{value}'")
    return errors


def settings_errors(variable: str, given: Any) -> list[str]:
    """One sentence for each mistake in C(prometheus_alerts) or C(koprogo_alerts), as templated."""
    if given in (None, ""):
        return []
    if not isinstance(given, Mapping):
        return [f"{variable}: expected a dictionary of alerts, found {type(given).__name__}"]
    errors = []
    for name, settings in given.items():
        where = f"{variable}.{name}"
        alert = ALERTS.get(str(name))
        if alert is None:
            hint = _near(str(name), ALERTS) or "; docs/alerts.md lists them all"
            errors.append(f"{where}: unknown alert{hint}")
        elif variable == HOST_VARIABLE and not alert.per_host:
            errors.append(
                f"{where}: expected an alert that concerns one host; {name} concerns the deployment, "
                f"set it in {DEPLOYMENT_VARIABLE}"
            )
        else:
            errors += _alert_errors(where, alert, settings)
    return errors


def _merged(alert: Alert, *overrides: Overrides) -> dict[str, Any]:
    settings = alert.defaults
    for override in overrides:
        settings |= override.get(alert.name) or {}
    return settings


def _escaped(host: str) -> str:
    """A host's name as a regular expression in a PromQL or LogQL string."""
    return re.escape(host).replace("\\", "\\\\")


def variants(
    alert: Alert, deployment: Overrides, by_host: Mapping[str, Overrides]
) -> Iterator[Variant]:
    """The alert once for each different settings that hosts have; where it is disabled it is left out.

    by_host: each host's C(koprogo_alerts).
    """
    common = _merged(alert, deployment)
    groups: list[tuple[dict[str, Any], list[str]]] = []
    for host, overrides in by_host.items() if alert.per_host else ():
        settings = _merged(alert, deployment, overrides)
        if settings == common:
            continue
        for known, hosts in groups:
            if known == settings:
                hosts.append(host)
                break
        else:
            groups.append((settings, [host]))
    others = [host for _settings, hosts in groups for host in hosts]
    found = [(common, f',host!~"{"|".join(map(_escaped, others))}"' if others else "")]
    found += [(s, f',host=~"{"|".join(map(_escaped, hosts))}"') for s, hosts in groups]
    for settings, matcher in found:
        if settings["enabled"]:
            yield Variant(alert=alert, settings=settings, matcher=matcher)


def interval_errors(given: Overrides, intervals: Mapping[str, Any]) -> list[str]:
    """One sentence for each alert that fires sooner than it can be seen twice.

    given: the deployment's settings. intervals: C(prometheus_scrape_interval) and
    C(prometheus_evaluation_interval).
    """
    errors = []
    for option, value in intervals.items():
        seconds = duration_seconds(str(value))
        hurried = [
            name
            for name, alert in ALERTS.items()
            if alert.source == "prometheus"
            for settings in (_merged(alert, given),)
            if settings["enabled"] and 0 < duration_seconds(settings["for"]) < 2 * seconds
        ]
        if hurried:
            errors.append(
                f"{option}: expected at most half of the setting 'for' of alert {' and '.join(hurried)}, "
                f"so that a failure is seen twice, found '{value}'"
            )
    return errors


def _named_alerts(files: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """File, name and labels of each alert of a user's rule files; other shapes are judged elsewhere."""
    for file, content in files.items():
        groups = content.get("groups") if isinstance(content, Mapping) else None
        for group in groups if isinstance(groups, list) else []:
            rules = group.get("rules") if isinstance(group, Mapping) else None
            for rule in rules if isinstance(rules, list) else []:
                if isinstance(rule, Mapping) and rule.get("alert"):
                    yield str(file), str(rule["alert"]), rule.get("labels") or {}


def own_rule_errors(
    variable: str, files: Any, taken: Overrides, *, beside: tuple[str, Any] = ("", {})
) -> list[str]:
    """One sentence for each alert of a user's own rules that exists already, and each file name that is ours.

    variable: C(prometheus_rules) or C(loki_rules). taken: the deployment's settings of the catalogue.
    beside: the other of the two variables and its rule files, which are judged elsewhere.
    """
    if not isinstance(files, Mapping):
        return []
    errors = [
        f"{variable}.{name}: expected another file name, those that begin with 'koprogo-' are the catalogue's"
        for name in files
        if str(name).startswith("koprogo-")
    ]
    errors += [
        f"{variable}: expected a file name of letters, digits, '.', '_' and '-', found '{name}'"
        for name in files
        if not _FILE.fullmatch(str(name))
    ]
    seen: dict[str, list[tuple[str, Any]]] = {}
    other_variable, other_files = beside
    for file, name, labels in _named_alerts(
        other_files if isinstance(other_files, Mapping) else {}
    ):
        seen.setdefault(name, []).append((f"{other_variable}.{file}", labels))
    for file, name, labels in _named_alerts(files):
        alert = ALERTS.get(name)
        if alert and _merged(alert, taken)["enabled"]:
            errors.append(
                f"{variable}.{file}: expected alerts of other names than the catalogue's, found '{name}'; "
                f"set {DEPLOYMENT_VARIABLE}.{name}, or disable it there to write your own"
            )
        for other, others in seen.get(name, []):
            if others == labels:
                errors.append(
                    f"{variable}.{file}: expected alert '{name}' with these labels once, "
                    f"found it in '{other}' too"
                )
        seen.setdefault(name, []).append((file, labels))
    return errors
