# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles write and wait, for the benches that run daemons without a host.

The collection can be imported only once Ansible's loader runs: C(start) first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.plugins.loader import init_plugin_loader

from lab.paths import ROOT

__all__ = [
    "alert_defaults",
    "scrape_jobs",
    "seconds",
    "seconds_of",
    "start",
    "write_alertmanager",
    "write_rules",
]

Groups = Mapping[str, Sequence[str]]
HostVars = Mapping[str, Mapping[str, Any]]

_TEXTS = "files/etc/koprogo/alertmanager/templates/koprogo.tmpl"


def start() -> None:
    """Start Ansible's loader of collections."""
    init_plugin_loader([str(ROOT / "collections")])


def seconds(duration: str) -> int:
    """A duration in Prometheus' notation."""
    from ansible_collections.koprogo.observability.plugins.plugin_utils._formats import (  # noqa: PLC0415
        duration_seconds,
    )

    return round(duration_seconds(duration))


def seconds_of(role: str, option: str) -> int:
    """The default of a role's option that is a duration."""
    from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import (  # noqa: PLC0415
        role_defaults,
    )

    return seconds(role_defaults(role)[f"{role}_{option}"])


def alert_defaults() -> dict[str, dict[str, Any]]:
    """Every alert's settings by its name."""
    from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_catalogue import (  # noqa: PLC0415
        ALERTS,
    )

    return {alert.name: alert.defaults for alert in ALERTS.values()}


def scrape_jobs(groups: Groups, hostvars: HostVars) -> list[dict[str, Any]]:
    """What role prometheus has Prometheus scrape."""
    from ansible_collections.koprogo.observability.plugins.plugin_utils import (  # noqa: PLC0415
        _topology,
    )

    jobs: list[dict[str, Any]] = _topology.scrape_jobs(groups["monitoring"][0], groups, hostvars)
    return jobs


def write_rules(
    folder: Path, groups: Groups, hostvars: HostVars, alerts: Mapping[str, Any] | None = None
) -> None:
    """Role prometheus' rule files, as JSON, which is YAML too. alerts: the deployment's settings."""
    from ansible_collections.koprogo.observability.plugins.filter.alerts import (  # noqa: PLC0415
        prometheus_rule_files,
    )

    host = groups["monitoring"][0]
    files = prometheus_rule_files(host, groups, hostvars, alerts=alerts or {}, own={})
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def write_alertmanager(folder: Path, receivers: str) -> Path:
    """Role alertmanager's files for three channels at one address; the path of its configuration."""
    from ansible_collections.koprogo.observability.plugins.plugin_utils import (  # noqa: PLC0415
        _alertmanager,
        _catalogue,
        _notifications,
    )

    variables = {
        "alertmanager_pagerduty": {"routing_key": "k" * 32, "url": f"{receivers}/pagerduty"},
        "alertmanager_slack": {"webhook_url": f"{receivers}/slack"},
        "alertmanager_sms": {"webhook": {"url": f"{receivers}/sms", "token": "t"}},
    }
    options = {
        name: _catalogue.setting(variables, "alertmanager", name) for name in _notifications.OPTIONS
    }
    made = _alertmanager.settings(options, str(folder), url_files=False)
    texts = (ROOT / "roles" / "alertmanager" / _TEXTS).read_text(encoding="utf-8")
    files = {f"secrets/{name}": content for name, content in made["secrets"].items()}
    files |= {"templates/koprogo.tmpl": texts, "alertmanager.json": json.dumps(made["config"])}
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder / "alertmanager.json"
