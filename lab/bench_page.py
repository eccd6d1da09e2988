# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of figures, docs/benchmarks.md: one section for each bench, in which only that bench writes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from lab.paths import ROOT

__all__ = ["PAGE", "put", "renewed", "table", "with_section"]

PAGE = ROOT / "docs" / "benchmarks.md"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in lines]


def with_section(page: str, section: str) -> str:
    """The page with a section, in the place of the one with the same heading or at the end."""
    heading, _newline, _rest = section.partition("\n")
    parts = _parts(page)
    known = [part.partition("\n")[0] for part in parts]
    if heading not in known:
        return f"{page.rstrip()}\n\n{section.strip()}\n"
    parts[known.index(heading)] = f"{section.strip()}\n\n"
    return "".join(parts).rstrip() + "\n"


def renewed(page: str, new: str) -> str:
    """The new page, and after it those sections of the old one that it doesn't have."""
    known = set(re.findall(r"(?m)^## .*$", new))
    others = [part for part in _parts(page)[1:] if part.partition("\n")[0] not in known]
    return "\n\n".join(part.strip() for part in (new, *others)) + "\n"


def _parts(page: str) -> list[str]:
    """What stands before the first section, and the sections."""
    return re.split(r"(?m)^(?=## )", page)


def put(section: str, page: Path = PAGE) -> None:
    """Write a section into the page, and show it."""
    page.write_text(with_section(page.read_text(encoding="utf-8"), section), encoding="utf-8")
    print(section)
