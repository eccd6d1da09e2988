"""The two Alertmanagers of scenario alertmanager, and what its tests ask them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import UTC, datetime
from typing import Any

import testinfra

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_catalogue import ALERTS
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_rules import Links
from tests.integration.ask import get
from tests.integration.boxes import docker
from tests.integration.play import ROOT

__all__ = ["API", "CONFIG", "NAMES", "alert", "converge", "of", "post", "ready", "status"]

NAMES = ("alert-mon12", "alert-mon13")
API = "http://127.0.0.1:9093"
CONFIG = "/etc/koprogo/alertmanager/alertmanager.yml"
# With characters that a message's markup takes for its own.
_LINKS = Links(
    runbook="https://docs.example.org/runbooks?a=1&b=2",
    dashboard="https://grafana.example.org",
    inventory="-i inventories/production",
)
_POST = (
    "import sys,urllib.request as u;"
    "u.urlopen(u.Request(sys.argv[1]+'/api/v2/alerts',sys.stdin.buffer.read(),"
    "{'Content-Type':'application/json'}),timeout=20)"
)


def of(name: str) -> Any:
    """Testinfra's host."""
    return testinfra.get_host(f"docker://{name}")


def status(host: Any) -> dict[str, Any]:
    """What an Alertmanager says of itself."""
    answer: dict[str, Any] = json.loads(get(host, f"{API}/api/v2/status"))
    return answer


def ready(host: Any) -> dict[str, Any]:
    """The cluster once both are in it, else nothing."""
    cluster: dict[str, Any] = status(host)["cluster"]
    return cluster if cluster["status"] == "ready" and len(cluster["peers"]) == 2 else {}


def alert(name: str, severity: str = "", *, ended: bool = False, **labels: str) -> dict[str, Any]:
    """An alert with the links and the command that a rule of ours gives it, if it is one of ours."""
    labels = {"alertname": name, "deployment": "test", **labels}
    annotations = {
        "summary": f"{name} on <{labels.get('host', '')}> & more",
        "description": f"{name} is described here",
        "value": "0 of 1 up",
    }
    if ours := ALERTS.get(name):
        texts = {
            "runbook_url": _LINKS.page(ours),
            "dashboard_url": _LINKS.panel(ours),
            "logs_url": _LINKS.logs(ours),
            "remediation": _LINKS.remediation(ours) if ours.playbook else "",
        }
        for key, text in texts.items():
            # Prometheus' part.
            annotations[key] = re.sub(
                r"{{ \$labels\.(\w+) }}", lambda found: labels.get(found[1], ""), text
            )
    made: dict[str, Any] = {"labels": labels, "annotations": annotations}
    if severity:
        made["labels"]["severity"] = severity
    if ended:
        made["endsAt"] = datetime.now(UTC).isoformat()
    return made


def post(name: str, alerts: list[dict[str, Any]], url: str = API) -> None:
    """Give alerts to one Alertmanager, as Prometheus does."""
    docker("exec", "-i", name, "python3", "-c", _POST, url, stdin=json.dumps(alerts))


def converge(*flags: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run the scenario's playbook again with other variables, as a user would."""
    argv = ["ansible-playbook", "-i", os.environ["MOLECULE_INVENTORY_FILE"], "--diff", *flags]
    playbook = ROOT / "molecule" / "alertmanager" / "converge.yml"
    argv += [str(playbook), "-e", json.dumps(variables)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
