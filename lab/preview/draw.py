# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dashboard with a stack's data, drawn by a browser and judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from lab.panel_check import Stack
from lab.panels import Span, panel_queries, panels
from lab.preview.browser import visit
from lab.preview.collect import collect
from lab.preview.page import height, page, verdict

__all__ = ["Drawn", "Studio"]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A page's data, its picture, and what is wrong with it."""

    data: Mapping[str, Any]
    picture: Path
    wrong: list[str]


@dataclass(frozen=True, kw_only=True)
class Studio:
    """What pages are drawn with: the chart library's source, Chromium's path, a folder for the pages.

    reasons: address of a query (C(*) stands for anything) to the reason why it may have no data.
    """

    library: str
    chromium: str
    folder: Path
    reasons: Mapping[str, str]

    def draw(self, stack: Stack, dashboard: Mapping[str, Any], span: Span) -> Drawn:
        """Write a dashboard's page and picture."""
        may_be_empty = {
            panel.number
            for panel in panels(dashboard)
            if all(
                any(fnmatch(query.address, glob) for glob in self.reasons)
                for query in panel_queries(panel)
            )
        }
        return self.judge(collect(stack, dashboard, span), may_be_empty)

    def judge(self, data: Mapping[str, Any], may_be_empty: set[int]) -> Drawn:
        """The same for data at hand; may_be_empty: numbers of panels."""
        target = self.folder / f"{data['uid']}.html"
        target.write_text(page(data, self.library), encoding="utf-8")
        picture = target.with_suffix(".png")
        seen = visit(self.chromium, target, picture, height=height(data))
        wrong = verdict(data, seen.page, may_be_empty) + [f"console: {x}" for x in seen.console]
        return Drawn(data=data, picture=picture, wrong=wrong)
