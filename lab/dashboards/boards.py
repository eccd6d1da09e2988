# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All dashboards, and where their JSON is kept."""

from __future__ import annotations

from pathlib import Path

from lab.dashboards import api, business, incident, postgresql, security, stack, system
from lab.dashboards.board import Board, render
from lab.paths import ROOT

__all__ = ["BOARDS", "FOLDER", "rendered", "write"]

FOLDER = ROOT / "roles" / "grafana" / "files" / "dashboards"
BOARDS: tuple[Board, ...] = (
    incident.BOARD,
    api.BOARD,
    system.BOARD,
    postgresql.BOARD,
    business.BOARD,
    security.BOARD,
    stack.BOARD,
)


def rendered() -> dict[str, str]:
    """File name to JSON."""
    return {f"{board.uid}.json": render(board) for board in BOARDS}


def write(folder: Path = FOLDER) -> list[str]:
    """Write all files, remove what is no dashboard any more; return the files' names."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = rendered()
    for path in folder.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")
    return sorted(wanted)
