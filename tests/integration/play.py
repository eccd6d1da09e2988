"""Run a playbook as a user does and see what it said and whether it touched the host."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Outcome", "filesystem_changes", "run_playbook"]

ROOT = Path(__file__).parents[2]

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


def run_playbook(playbook: str, *arguments: str, inventory: str | None = None) -> Outcome:
    """C(ansible-playbook) on the scenario's inventory (or the given one), with the project's settings."""
    source = inventory or os.environ["MOLECULE_INVENTORY_FILE"]
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", source]
    done = subprocess.run(
        [*command, playbook, *arguments],
        cwd=ROOT,
        env=os.environ | _ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(rc=done.returncode, text=" ".join((done.stdout + done.stderr).split()))


def filesystem_changes(container: str) -> set[str]:
    """Paths that differ from the image, without what any login or module leaves behind."""
    listing = subprocess.run(
        ["docker", "diff", container], capture_output=True, text=True, check=True
    ).stdout
    volatile = ("/root", "/run", "/tmp", "/var/tmp", "/var/log/journal", "/var/lib/systemd")
    return {line[2:] for line in listing.splitlines() if not line[2:].startswith(volatile)}
