# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the pages, open each in a browser, say what is wrong. Run in the virtual environment."""

from __future__ import annotations

import sys

from lab.panel_check import FOLDER, demo, excused, span_of
from lab.panels import load
from lab.paths import ROOT
from lab.preview.browser import chart_library, find_chromium
from lab.preview.draw import Studio
from lab.shell import LabError

OUT = ROOT / ".cache" / "preview"
MINUTES = 60


def main() -> int:
    """Write a page and a picture for each dashboard; fail if one isn't as it should be."""
    try:
        OUT.mkdir(parents=True, exist_ok=True)
        studio = Studio(
            library=chart_library(print), chromium=find_chromium(), folder=OUT, reasons=excused()
        )
        failed = 0
        for uid, dashboard in load(FOLDER).items():
            drawn = studio.draw(demo(), dashboard, span_of(MINUTES, points=240))
            failed += len(drawn.wrong)
            shown = drawn.data["panels"]
            empty = sum(bool(panel.get("empty")) for panel in shown)
            print(f"{uid}: {len(shown)} panels, {empty} empty; {drawn.picture.relative_to(ROOT)}")
            for one in drawn.wrong:
                print(f"  WRONG {one}")
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
