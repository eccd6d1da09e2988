"""What check mode said before each real run of a scenario, held against what the run then did."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["recorded_runs"]


def recorded_runs() -> list[dict[str, Any]]:
    """The scenario's four runs: check and real on fresh hosts, real and check on configured ones."""
    record = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "runs.jsonl"
    lines = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    found = [line for line in lines if line["playbook"] == "converge"][-4:]
    assert [run["check"] for run in found] == [True, False, False, True]
    return found
