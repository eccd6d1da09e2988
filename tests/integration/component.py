"""Tasks of the component modules on all hosts of their scenario at once, with each result."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.integration.play import Results, Task, run_tasks

__all__ = [
    "HOSTS",
    "Archive",
    "Task",
    "all_changed",
    "aside",
    "each",
    "install",
    "on_hosts",
    "service",
    "shell",
    "verify",
]

HOSTS = ("component-box12", "component-box13")


def install(**options: Any) -> Task:
    """A task with component_install."""
    return {"koprogo.observability.component_install": options}


def service(unit: str, **options: Any) -> Task:
    """A task with component_service."""
    return {"koprogo.observability.component_service": {"unit": unit, **options}}


def verify(unit: str, **options: Any) -> Task:
    """A task with component_verify."""
    return {"koprogo.observability.component_verify": {"unit": unit, **options}}


def shell(command: str) -> Task:
    """Something that happens to the host between two tasks."""
    return {"ansible.builtin.shell": {"cmd": f"set -e\n{command}"}}


def aside(command: str) -> None:
    """Run a command on both hosts without Ansible, to prepare or to tidy up."""
    running = [subprocess.Popen(["docker", "exec", host, "sh", "-c", command]) for host in HOSTS]
    assert [process.wait(timeout=120) for process in running] == [0, 0]


def on_hosts(*tasks: Task, check: bool = False) -> Results:
    """Run tasks on both hosts, failures too; the result of each, in order."""
    results = run_tasks(*tasks, check=check, diff=True)
    assert set(results) == set(HOSTS)
    for rows in results.values():
        for row in rows:
            assert "warnings" not in row or row.get("failed") or check, row["warnings"]
    return results


def each(results: Results) -> Iterator[list[dict[str, Any]]]:
    """The results host by host; names the host where a test fails."""
    for host, rows in results.items():
        print(host, json.dumps(rows, indent=1)[-6000:])  # noqa: T201 - shown if the test fails
        yield rows


def all_changed(rows: list[dict[str, Any]]) -> list[bool | str]:
    """What each task said: changed, not changed, or failed."""
    return ["failed" if row.get("failed") else bool(row["changed"]) for row in rows]


@dataclass(frozen=True)
class Archive:
    """A release archive on the control node."""

    path: str
    sha256: str
