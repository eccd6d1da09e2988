# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a panel to the runbook's page and to the logs, and the addresses that these links have."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard as models

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_catalogue import ALERTS
from plugins.plugin_utils._panels import PANELS

__all__ = [
    "API_LOG",
    "DATABASE_LOG",
    "RUNBOOKS",
    "alert_links",
    "explore",
    "remediations",
    "runbook_page",
    "snake_case",
]

# Role grafana puts grafana_runbook_url in its place.
RUNBOOKS = "https://github.com/koprogo/observability/blob/main/docs/runbooks"

API_LOG = 'job="koprogo-api", deployment=~"$deployment", host=~"$host"'
DATABASE_LOG = 'job="postgresql", deployment=~"$deployment", host=~"$host"'
_CHOSEN = ',deployment=~"$deployment",host=~"$host"'
_VARIABLE = re.compile(r"\$(?:\{\w+(?::\w+)?\}|\w+)")


def snake_case(name: str) -> str:
    """An alert's name as its page and playbook are called: C(SlowApi) is C(slow_api)."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def runbook_page(alert: str) -> str:
    """Address of an alert's page."""
    return f"{RUNBOOKS}/{snake_case(alert)}.md"


def remediations() -> dict[str, str]:
    """Alert to the command that remediates it, inventory and host left to say."""
    return {
        name: f"ansible-playbook playbooks/remediate/{snake_case(name)}.yml -l"
        for name, alert in ALERTS.items()
        if alert.playbook
    }


def explore(expr: str) -> str:
    """Address of Grafana's Explore with a LogQL query, in the dashboard's time and selection.

    Everything is percent-encoded but the variables, which Grafana fills in afterwards.
    """
    panes = {
        "logs": {
            "datasource": "loki",
            "queries": [
                {
                    "refId": "A",
                    "expr": expr,
                    "queryType": "range",
                    "datasource": {"type": "loki", "uid": "loki"},
                }
            ],
            "range": {"from": "${__from}", "to": "${__to}"},
        }
    }
    text = json.dumps(panes, separators=(",", ":"))
    encoded, at = "", 0
    for found in _VARIABLE.finditer(text):
        name = found[0].strip("${}")
        # Several values are one|other here: the format of a link's variable isn't that of a query's.
        variable = name if name.startswith("__") else f"{name}:pipe"
        encoded += quote(text[at : found.start()], safe="") + f"${{{variable}}}"
        at = found.end()
    encoded += quote(text[at:], safe="")
    return f"/explore?schemaVersion=1&orgId=1&panes={encoded}"


def _link(title: str, url: str) -> builders.DashboardLink:
    link = builders.DashboardLink(title).type(models.DashboardLinkType.LINK)
    return link.url(url).target_blank(True)


def alert_links(dashboard: str, panel: int) -> list[builders.DashboardLink]:
    """Links of the panel that alerts lead to: back to each alert's page, and to its logs."""
    links = []
    for alert, place in PANELS.items():
        if (place.dashboard, place.number) == (dashboard, panel):
            links.append(_link(f"Runbook: {alert}", runbook_page(alert)))
            links.append(_link(f"Logs: {alert}", explore(ALERTS[alert].lines(_CHOSEN))))
    if links and dashboard != "koprogo-incident":
        incident = "/d/koprogo-incident?${__url_time_range}&${deployment:queryparam}"
        links.append(_link("What else is firing", incident))
    return links
