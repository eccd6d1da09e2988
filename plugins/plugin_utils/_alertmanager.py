# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alertmanager's configuration: judged before anything is changed, completed before it is written.

C(amtool check-config) judges the staged file too, but it isn't there yet on a fresh host, and it
never looks into the files of secrets.

This file is private to the collection.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import setting
from ansible_collections.koprogo.observability.plugins.plugin_utils._notification_options import (
    notification_errors,
    severity_error,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._notifications import (
    OPTIONS,
    build,
    reaches_nobody,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._routes import (
    receiver_shape_errors,
    route_shape_errors,
    routes_of,
)

__all__ = ["errors_in", "settings", "variable_errors", "variable_warnings"]

_SECRETS = "secrets/"
_SECRET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SEVERITY = re.compile(r"""\s*severity\s*=\s*["']?([^"'~]*?)["']?\s*""")


def _secret_references(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Every C(*_file) option that names one of our secrets: the path to it, and the secret's name."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            path = f"{where}.{key}" if where else str(key)
            if str(key).endswith("_file") and str(item).startswith(_SECRETS):
                yield path, str(item).removeprefix(_SECRETS)
            else:
                yield from _secret_references(item, path)
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            name = item.get("name") if isinstance(item, Mapping) else None
            yield from _secret_references(item, f"{where}[{name or number}]")


def _named(config: Mapping[str, Any], section: str) -> tuple[set[str], list[str]]:
    """Names defined in a section, and what is wrong with them."""
    errors = []
    names: list[str] = []
    for number, entry in enumerate(config.get(section) or []):
        name = entry.get("name") if isinstance(entry, Mapping) else None
        if name:
            names.append(str(name))
        else:
            errors.append(f"alertmanager_{section}[{number}]: expected a name, found none")
    errors += [
        f"alertmanager_{section}: expected '{name}' once, found it {count} times"
        for name, count in Counter(names).items()
        if count > 1
    ]
    return set(names), errors


def _undefined(kind: str, name: Any, known: set[str], where: str) -> list[str]:
    if str(name) in known:
        return []
    listed = ", ".join(sorted(known)) or "none"
    return [f"alertmanager_{where}: expected a {kind} that exists ({listed}), found '{name}'"]


def _severity_errors(where: str, route: Mapping[str, Any]) -> Iterator[str]:
    """Slips in a severity that the route asks for."""
    asked = [(f"{where}.matchers", str(matcher)) for matcher in route.get("matchers") or []]
    if "severity" in (route.get("match") or {}):
        asked.append((f"{where}.match", f"severity={route['match']['severity']}"))
    for place, matcher in asked:
        found = _SEVERITY.fullmatch(matcher)
        problem = severity_error(found.group(1)) if found else ""
        if problem:
            yield f"alertmanager_{place}: {problem}"


def _route_errors(config: Mapping[str, Any], receivers: set[str], intervals: set[str]) -> list[str]:
    errors = []
    for where, route in routes_of(config.get("route") or {}):
        if "receiver" in route:
            errors += _undefined("receiver", route["receiver"], receivers, f"{where}.receiver")
        elif where == "route":
            errors.append("alertmanager_route.receiver: expected the default receiver, found none")
        for option in ("mute_time_intervals", "active_time_intervals"):
            for name in route.get(option) or []:
                errors += _undefined("time interval", name, intervals, f"{where}.{option}")
        errors += _severity_errors(where, route)
    return errors


def _secret_errors(config: Mapping[str, Any], secrets: Mapping[str, Any]) -> list[str]:
    errors = []
    for name, value in secrets.items():
        if not _SECRET_NAME.fullmatch(str(name)):
            errors.append(f"alertmanager_secrets: expected a plain file name, found '{name}'")
        elif not str(value or "").strip():
            errors.append(f"alertmanager_secrets.{name}: expected a secret, found an empty value")
    errors += [
        f"alertmanager_{where}: expected an entry '{name}' in alertmanager_secrets, found none"
        for where, name in _secret_references(config)
        if name not in secrets
    ]
    return errors


def _config_errors(config: Mapping[str, Any], secrets: Mapping[str, Any]) -> list[str]:
    """One sentence for each mistake, empty for a sound configuration. Values of secrets never appear.

    config: Alertmanager's sections, as they will be written. secrets: name to value.
    """
    errors = route_shape_errors(config.get("route") or {})
    if errors:
        return errors
    receivers, errors = _named(config, "receivers")
    errors += [
        error
        for receiver in config.get("receivers") or []
        if isinstance(receiver, Mapping)
        for error in receiver_shape_errors(receiver)
    ]
    intervals, interval_errors = _named(config, "time_intervals")
    errors += interval_errors
    errors += _route_errors(config, receivers, intervals)
    errors += _secret_errors(config, secrets)
    return errors


def _with_paths(value: Any, directory: str) -> Any:
    if isinstance(value, Mapping):
        return {
            key: f"{directory}/{item}"
            if str(key).endswith("_file") and str(item).startswith(_SECRETS)
            else _with_paths(item, directory)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_with_paths(item, directory) for item in value]
    return value


def _complete_config(config: Mapping[str, Any], directory: str) -> dict[str, Any]:
    """The configuration without its empty sections and with the secrets' paths made absolute.

    Alertmanager resolves only some C(*_file) options against its configuration's folder, the
    others against its working folder.
    """
    kept = {section: value for section, value in config.items() if value not in (None, "", [], {})}
    completed = _with_paths(kept, directory)
    return dict(completed)


def _named_as_given(error: str) -> str:
    """The error with the name of the option that the user wrote: the built tree begins with Watchdog."""
    return re.sub(
        r"^alertmanager_route\.routes\[(\d+)\]",
        lambda found: f"alertmanager_routes[{int(found.group(1)) - 1}]",
        error,
    )


def errors_in(options: Mapping[str, Any]) -> list[str]:
    """One sentence for each mistake in the options. Values of secrets never appear.

    options: C(alertmanager_*) without the prefix, templated and of the right types.
    """
    errors = notification_errors(options)
    if errors:
        return errors
    notifications = build(options, url_files=True)
    errors = _config_errors(notifications.config, notifications.secrets)
    if options["route"] or "route" in (options["config"] or {}):
        return errors
    return [_named_as_given(error) for error in errors]


def settings(options: Mapping[str, Any], directory: str, *, url_files: bool) -> dict[str, Any]:
    """What the role writes, from options without mistakes.

    Returns C(config), the sections; C(secrets), name to content; C(environment) of the service;
    C(masks), what must not be shown.
    """
    built = build(options, url_files=url_files)
    return {
        "config": _complete_config(built.config, directory),
        "secrets": built.secrets,
        "environment": {name: f"{directory}/{value}" for name, value in built.environment.items()},
        "masks": built.masks,
    }


def _options(variables: Mapping[str, Any]) -> dict[str, Any]:
    return {name: setting(variables, "alertmanager", name) for name in OPTIONS}


def variable_errors(variables: Mapping[str, Any]) -> list[str]:
    """The mistakes in a host's variables C(alertmanager_*), given or by default."""
    return errors_in(_options(variables))


def variable_warnings(variables: Mapping[str, Any]) -> list[str]:
    """What a host's variables without mistakes leave undone."""
    if not reaches_nobody(build(_options(variables), url_files=True).config):
        return []
    return [
        "Alerts are shown in Alertmanager and told to nobody: set alertmanager_pagerduty, "
        "alertmanager_slack or alertmanager_sms (docs/notifications.md)."
    ]
