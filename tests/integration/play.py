"""Run a playbook as a user does, or single tasks, and see what came of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "ROOT",
    "Outcome",
    "Results",
    "Task",
    "filesystem_changes",
    "run_command",
    "run_playbook",
    "run_tasks",
    "start_playbook",
]

ROOT = Path(__file__).parents[2]
Task = dict[str, Any]
#: Of each host the result of each task, in order.
Results = dict[str, list[dict[str, Any]]]

_ENVIRONMENT = {
    "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
    # Molecule forces colour, and sentences could not be searched.
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_FORCE_COLOR": "0",
    # It also sends what -v adds to the other stream, out of order.
    "ANSIBLE_VERBOSE_TO_STDERR": "0",
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Exit status and output of a run, its line breaks folded so that sentences can be searched."""

    rc: int
    text: str

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks changed each host, as the recap says."""
        found = re.findall(r"([\w.-]+) : ok=\d+ changed=(\d+)", self.text)
        return {host: int(count) for host, count in found}


def run_playbook(playbook: str, *arguments: str, inventory: str | None = None) -> Outcome:
    """C(ansible-playbook) on the scenario's inventory (or the given one), with the project's settings."""
    done = _run(playbook, *arguments, inventory=inventory)
    return Outcome(rc=done.returncode, text=" ".join((done.stdout + done.stderr).split()))


def run_command(command: str) -> Outcome:
    """A command as it stands, in the project's folder, by a shell that knows nothing of Molecule."""
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=ROOT,
        env={"PATH": programs, "HOME": os.environ["HOME"], "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(rc=done.returncode, text=" ".join((done.stdout + done.stderr).split()))


def run_tasks(*tasks: Task, hosts: str = "all", check: bool = False, diff: bool = False) -> Results:
    """Run tasks on hosts of the scenario one after another, failures too."""
    play = {
        "hosts": hosts,
        "gather_facts": False,
        "tasks": [
            {"name": f"Task {n}", "ignore_errors": True, **task} for n, task in enumerate(tasks)
        ],
    }
    # Of each thread: a test may run on both hosts at once.
    name = f"tasks-{os.getpid()}-{threading.get_ident()}.json"
    path = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / name
    path.write_text(json.dumps([play]), encoding="utf-8")
    flags = (["--check"] if check else []) + (["--diff"] if diff else [])
    done = _run(str(path), *flags, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    begin = done.stdout.find("{")
    assert begin >= 0, done.stdout + done.stderr
    (found,) = json.loads(done.stdout[begin:])["plays"]
    results: Results = {}
    for task in found["tasks"]:
        for host, result in task["hosts"].items():
            assert "Traceback" not in str(result), result
            results.setdefault(host, []).append(result)
    assert all(len(rows) == len(tasks) for rows in results.values()), done.stdout
    return results


def start_playbook(playbook: str, *arguments: str) -> subprocess.Popen[str]:
    """C(ansible-playbook) under way."""
    return subprocess.Popen(
        _command(playbook, *arguments),
        cwd=ROOT,
        env=os.environ | _ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _command(playbook: str, *arguments: str, inventory: str | None = None) -> list[str]:
    # The folder, as Molecule itself has it: an alert's command names what a run was given.
    source = inventory or str(Path(os.environ["MOLECULE_INVENTORY_FILE"]).parent)
    program = str(Path(sys.executable).parent / "ansible-playbook")
    return [program, "-i", source, playbook, *arguments]


def _run(
    playbook: str, *arguments: str, inventory: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(playbook, *arguments, inventory=inventory),
        cwd=ROOT,
        env=os.environ | _ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def filesystem_changes(container: str) -> set[str]:
    """Paths that differ from the image, without what any login or module leaves behind."""
    listing = subprocess.run(
        ["docker", "diff", container], capture_output=True, text=True, check=True
    ).stdout
    # The last is of usercustomize.py, which the scenarios' hosts have.
    volatile = (
        *("/root", "/run", "/tmp", "/var/tmp", "/var/log/journal", "/var/lib/systemd"),
        "/usr/lib/python3/dist-packages/__pycache__",
    )
    return {line[2:] for line in listing.splitlines() if not line[2:].startswith(volatile)}
