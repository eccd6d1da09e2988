# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/alerts.md from the catalogue of alerts.

Run in the virtual environment: it needs Ansible's loader of collections.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.loader import init_plugin_loader

__all__ = ["TARGET", "reference"]

_ROOT = Path(__file__).resolve().parents[1]
TARGET = _ROOT / "docs" / "alerts.md"
_HEAD = """# Alerts

Made by `make docs` from the catalogue (`plugins/plugin_utils/_alerts*.py`). Roles prometheus and loki write
the rules for the hosts of the inventory; nothing has to be set.

## Change one

For the whole deployment, on the monitoring hosts (an alert that Loki evaluates too):

```yaml
prometheus_alerts:
  HighCpu: {enabled: false}
  SlowApi: {threshold: 2.5, for: 10m}
```

For one host, in its `host_vars` or the `group_vars` of its group; it is merged over the deployment's:

```yaml
koprogo_alerts:
  DiskFull: {threshold: 0.2, keep_firing_for: 10m}
```

Every alert has `enabled`, `for` and `severity`; those of Prometheus also have `keep_firing_for` (`0s` by
default), which Loki does not know. The tables list what else an alert has, with the default. An alert
marked *deployment* concerns no single host and is set for the deployment alone. A name, a type or a value
that cannot be stops `site.yml` before anything is changed. Alerts of your own go into `prometheus_rules`
and `loki_rules`, under other names; to replace one of these, disable it first.

Each alert carries the labels `severity`, `component`, `deployment` and, where it concerns one, `host`; and
the annotations `summary`, `description`, `value`, `runbook_url`, `dashboard_url`, `logs_url` and, for the
runbook's eight, `remediation` with the command to run.

`Watchdog` fires always, as long as fresh samples arrive. Send it to a service that raises the alarm when it
stops.
"""
_PARTS = (
    ("The product", "prometheus", ("api", "database", "system")),
    ("Over the logs, evaluated by Loki", "loki", ("api", "database", "system", "security")),
    ("The protection, with `koprogo_protect`", "prometheus", ("security",)),
    ("The monitoring itself", "prometheus", ("monitoring",)),
)


def _further(alert: Any) -> str:
    names = [n for n in alert.settings if n in ("threshold", *alert.further)]
    said = [f"`{n}` {alert.defaults[n]}: {alert.settings[n].what}" for n in names]
    return "<br>".join(said).replace("|", "\\|")


def _row(alert: Any, page: str) -> str:
    scope = "host" if alert.per_host else "deployment"
    name = f"[{alert.name}](runbooks/{page}.md)"
    cells = (name, alert.severity, alert.hold, scope, _further(alert))
    return f"| {' | '.join(cells)} |"


def reference() -> str:
    """The whole page."""
    from ansible_collections.koprogo.observability.plugins.plugin_utils import (  # noqa: PLC0415
        _alerts,
        _alerts_catalogue,
    )

    parts = [_HEAD]
    for title, source, components in _PARTS:
        rows = [
            _row(alert, _alerts.snake(alert.name))
            for alert in _alerts_catalogue.ALERTS.values()
            if alert.source == source and alert.component in components
        ]
        head = "| alert | severity | for | about | further settings |\n"
        parts.append(f"## {title}\n\n{head}| --- | --- | --- | --- | --- |")
        parts += [*rows, ""]
    return "\n".join(parts)


if __name__ == "__main__":
    init_plugin_loader([str(_ROOT / "collections")])
    TARGET.write_text(reference(), encoding="utf-8")
