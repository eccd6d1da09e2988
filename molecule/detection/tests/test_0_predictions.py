"""What check mode said of bare hosts is what the run then did."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

ROLES = ("fail2ban", "suricata", "crowdsec")


def of_roles(run: dict[str, Any]) -> list[list[str]]:
    """Host and name of each changed task of the roles that detect and ban."""
    return [one for one in run["changed"] if one[1].partition(" : ")[0].rpartition(".")[2] in ROLES]


def test_check_on_bare_hosts_predicts_the_real_run() -> None:
    record = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "runs.jsonl"
    runs = [json.loads(line) for line in record.read_text().splitlines()]
    # The last preparation, and the first run after it.
    last = max(number for number, run in enumerate(runs) if run["playbook"] == "prepare")
    predicted = next(run for run in reversed(runs[:last]) if run["playbook"] == "protect")
    done = next(run for run in runs[last:] if run["playbook"] == "converge")
    assert (predicted["check"], done["check"]) == (True, False)
    assert of_roles(predicted)
    assert of_roles(predicted) == of_roles(done)
