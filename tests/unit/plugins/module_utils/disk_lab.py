# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees of files and policies for tests of the reclaiming of disks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._disk_file_policy import (
    FilePolicy,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_files import Files
from ansible_collections.koprogo.observability.plugins.module_utils._disk_keep import kept_inodes
from ansible_collections.koprogo.observability.plugins.module_utils._disk_open import OpenFiles
from ansible_collections.koprogo.observability.plugins.module_utils._disk_places import Places

NOW = 1_800_000_000.0
DAY = 86_400.0


def write(path: Path, *, days: float = 40, kib: int = 4) -> Path:
    """A file of so many KiB that was changed so many days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * kib * 1024)
    changed = NOW - days * DAY
    os.utime(path, (changed, changed))
    return path


def policy(*roots: Path, **options: Any) -> FilePolicy:
    """A policy of logs that are older than 30 days."""
    values = {
        "name": "logs[0]",
        "kind": "logs",
        "roots": tuple(str(root) for root in roots),
        "patterns": ("*.log",),
        "older_than": 30 * DAY,
    }
    return FilePolicy(**{**values, **options})


def workers(policies: Sequence[FilePolicy], opened: OpenFiles | None = None) -> list[Files]:
    """Policies at work on the file system of the first one's root."""
    made: list[Files] = []
    for each in policies:
        made.append(
            Files(
                policy=each,
                places=Places(),
                device=Path(policies[0].roots[0]).stat().st_dev,
                now=NOW,
                opened=opened or OpenFiles(),
                earlier=tuple(made),
            )
        )
    kept = kept_inodes(made)
    for files in made:
        files.kept = kept
    return made


def names(root: Path) -> set[str]:
    """Relative paths of all files below a folder."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
