# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the pages, open each in a browser, say what is wrong. Run in the virtual environment."""

from __future__ import annotations

import sys
from fnmatch import fnmatch

from lab.panel_check import FOLDER, demo, excused, span_of
from lab.panels import load, panel_queries, panels
from lab.paths import ROOT
from lab.preview.browser import chart_library, find_chromium, visit
from lab.preview.collect import collect
from lab.preview.page import height, page, verdict
from lab.shell import LabError

OUT = ROOT / ".cache" / "preview"
MINUTES = 60


def main() -> int:
    """Write a page and a picture for each dashboard; fail if one isn't as it should be."""
    reasons = excused()
    try:
        library = chart_library(print)
        chromium = find_chromium()
        failed = 0
        OUT.mkdir(parents=True, exist_ok=True)
        for uid, dashboard in load(FOLDER).items():
            data = collect(demo(), dashboard, span_of(MINUTES, points=240))
            target = OUT / f"{uid}.html"
            target.write_text(page(data, library), encoding="utf-8")
            picture = target.with_suffix(".png")
            seen = visit(chromium, target, picture, height=height(data))
            may_be_empty = {
                panel.number
                for panel in panels(dashboard)
                if all(
                    any(fnmatch(query.address, glob) for glob in reasons)
                    for query in panel_queries(panel)
                )
            }
            wrong = verdict(data, seen.page, may_be_empty) + [f"console: {x}" for x in seen.console]
            failed += len(wrong)
            empty = sum(bool(panel.get("empty")) for panel in data["panels"])
            print(
                f"{uid}: {len(data['panels'])} panels, {empty} empty; {picture.relative_to(ROOT)}"
            )
            for one in wrong:
                print(f"  WRONG {one}")
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
