# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python3 -m lab bench-demo``: ``make demo`` from nothing, and once more.

In a clone of what is committed, with empty caches and no image of the lab. An engine that is there stays.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from lab.bench_page import put, table
from lab.demo import RECORD, Took
from lab.paths import ROOT
from lab.shell import LabError, answers, output, stream
from lab.steps import clock
from lab.tunnel import check_ports

__all__ = ["bench_demo", "section"]

# Minutes, on two cores.
_LIMITS = {"make demo": 15, "site.yml": 4}


def section(first: Took, again: Took) -> str:
    """The section of the page."""
    later = _rows(again)
    rows = [
        (name, clock(seconds), clock(later[name]), f"{_LIMITS[name]}:00" if name in _LIMITS else "")
        for name, seconds in _rows(first).items()
        # A step of no time is no news.
        if seconds >= 1
    ]
    return "\n".join(
        (
            "## The demo from nothing",
            "",
            "`make demo` in a fresh clone, with empty caches and no images, and the same once more; "
            "minutes and seconds. The steps of the preparation run side by side. They include the "
            "engine's installation where there is none, the tools, Loki and the Collector built from "
            "source, and the images of both releases; `sample` is PostgreSQL and the sample API.",
            "",
            *table(("", "from nothing", "once more", "at most"), rows),
        )
    )


def _rows(took: Took) -> dict[str, float]:
    steps = {f"step {name}": seconds for name, seconds in took.steps.items()}
    return {"make demo": took.total, "preparation": took.preparation, **steps, **took.plays}


def _refuse_company() -> None:
    """Fail where hosts of the lab use its images, or somebody has the demo's ports."""
    check_ports()
    if not answers(["docker", "version"], timeout=15):
        return
    listing = ["docker", "ps", "--all", "--filter", "label=koprogo.lab", "--format", "{{.Names}}"]
    if found := output(listing).split():
        raise LabError(
            f"bench-demo removes the lab's images: expected none of its hosts, found {', '.join(found)}."
            " Remove them first: make demo-down, and molecule destroy --all."
        )
    images = output(
        ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "koprogo-lab/*"]
    )
    if names := images.split():
        output(["docker", "image", "rm", "--force", *names])


def bench_demo() -> int:
    """Run the demo twice, write the section, and take the demo down."""
    _refuse_company()
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / "checkout"
        output(["git", "clone", "--quiet", ROOT, checkout])
        env = {"XDG_CACHE_HOME": f"{folder}/cache", "GOMODCACHE": f"{folder}/cache/go"}
        record = checkout / RECORD.relative_to(ROOT)
        try:
            for _run in ("from nothing", "once more"):
                if code := stream([sys.executable, "-m", "lab", "up"], cwd=checkout, env=env):
                    return code
                figures.append(Took(**json.loads(record.read_text(encoding="utf-8"))))
        finally:
            stream([sys.executable, "-m", "lab", "down"], cwd=checkout, env=env)
    put(section(*figures))
    return 0
