"""Remedy the alerts of a live stack as the one on call does, several at a time, and look what is kept."""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.integration.ask import get, logql, wait_for
from tests.integration.faults import BOX
from tests.integration.play import Outcome, run_command
from tests.integration.remedy import RECORDS, host_of, ledger, remediate

__all__ = [
    "Work",
    "active_silences",
    "assert_complete",
    "begin",
    "command_of",
    "incidents",
    "playbook_of",
    "told_of",
]

_API = "http://127.0.0.1:9093/api/v2"


def playbook_of(alert: str) -> str:
    """The name of the alert's playbook."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", alert).lower()


def active_silences(alert: str) -> list[dict[str, Any]]:
    """Alertmanager's silences of an alert on the box that hold now."""
    rows = json.loads(get(host_of(BOX.name), f"{_API}/silences"))
    wanted = {("alertname", alert), ("host", BOX.name)}
    return [
        row
        for row in rows
        if row["status"]["state"] == "active"
        and {(m["name"], m["value"]) for m in row["matchers"]} == wanted
    ]


def told_of(alert: str) -> list[dict[str, Any]]:
    """The alert as Alertmanager has it, with C(silencedBy) and the like."""
    query = quote(f'alertname="{alert}"')
    rows = json.loads(get(host_of(BOX.name), f"{_API}/alerts?filter={query}"))
    return [row["status"] for row in rows]


def incidents(alert: str) -> list[dict[str, Any]]:
    """Records of an alert, oldest first; C(files) are those of each."""
    found = []
    for folder in BOX.sh(f"ls -d {RECORDS}/{alert}-* 2> /dev/null", check=False).split():
        record = json.loads(BOX.sh(f"cat {folder}/record.json"))
        found.append(record | {"files": {name: BOX.sh(f"cat {folder}/{name}") for name in
                                         BOX.sh(f"ls {folder}").split()}})  # fmt: skip
    return sorted(found, key=lambda record: str(record["started"]))


def _ends(alert: str) -> int:
    return sum(e["phase"] == "end" and e["alert"] == alert for e in ledger(BOX.name))


@dataclass(frozen=True)
class Work:
    """A remediation under way."""

    alert: str
    future: Future[Outcome]

    def end(self) -> Outcome:
        """Wait for it; its silence must be gone with it."""
        outcome = self.future.result(timeout=600)
        assert not active_silences(self.alert), f"{self.alert} is still silenced"
        return outcome

    def resolve(self) -> dict[str, Any]:
        """Wait for it, and return its record: it must have acted, and the alert be gone for that."""
        outcome = self.end()
        assert outcome.rc == 0, outcome.text
        assert f"{self.alert} on {BOX.name}: resolved. it acted" in outcome.text
        record = incidents(self.alert)[-1]
        assert_complete(record, alert=self.alert, outcome="resolved")
        assert "the alert was firing" in record["timeline"][0]["text"]
        return record


def command_of(alert: str) -> str:
    """What an alert on the box has to say: the command that remedies it, whole."""
    inventory = Path(os.environ["MOLECULE_INVENTORY_FILE"]).parent
    playbook = f"playbooks/remediate/{playbook_of(alert)}.yml"
    return f"ansible-playbook -i {inventory} {playbook} -l {BOX.name}"


def begin(pool: ThreadPoolExecutor, alert: str, *, command: str = "", **variables: object) -> Work:
    """Start a remediation; return once it has acted, while it waits for Prometheus.

    command: the command to start it by, as it stands, and without variables.
    A host takes one action at a time, but alerts may be watched side by side.
    """
    before = _ends(alert)
    assert not active_silences(alert)
    if command:
        future = pool.submit(run_command, command)
    else:
        future = pool.submit(remediate, playbook_of(alert), box=BOX.name, **variables)
    wait_for(
        lambda: _ends(alert) > before or future.done(),
        seconds=180,
        what=f"the act for {alert}",
    )
    assert not future.done(), future.result().text
    silenced = len(active_silences(alert))
    assert silenced == 1, f"{silenced} silences during the work; {future.result(timeout=600).text}"
    return Work(alert, future)


def assert_complete(record: dict[str, Any], *, alert: str, outcome: str) -> None:
    """An incident's record holds what happened, for people and for machines."""
    assert (record["alert"], record["host"], record["outcome"]) == (alert, BOX.name, outcome)
    assert (record["who"], record["automatic"]) == ("ada", False)
    assert record["started"] < record["ended"]
    assert record["summary"]
    assert re.fullmatch(r"[0-9a-f]{64}", record["evidence_sha256"])
    assert {"prediction", "guard"} & set(record["evidence"])
    assert len(record["timeline"]) >= 2
    acted = [action["phase"] for action in record["actions"]]
    assert acted == (["begin", "end", "verdict"] if record["runs"] else [])
    assert all(action["id"] in record["runs"] for action in record["actions"])
    if outcome == "resolved":
        assert record["runs"]
        assert record["prediction"]
        assert record["result"]
    files = record["files"]
    page = files["record.md"]
    assert page.startswith(f"# {alert} on {BOX.name}\n")
    for text in (f"- Outcome: {outcome}", "- Run by: ada", "## Timeline", "## Evidence"):
        assert text.replace("_", "\\_") in page
    assert ("post-mortem.md" in files) == (record["severity"] == "critical")
    wait_for(
        lambda: outcome in shown(record["id"]),
        seconds=30,
        what=f"the incident {record['id']} on the dashboards",
    )


def shown(incident: str) -> list[str]:
    """Outcomes of an incident that the dashboards' query finds, oldest first."""
    query = f'{{job="koprogo-remediation", host="{BOX.name}"}} | json | id="{incident}"'
    return [
        json.loads(line)["outcome"] for _time, line in logql(host_of(BOX.name), query, since=3600)
    ]
