# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chart library from npm, Chromium from Debian: found, or fetched and installed."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab.paths import user_cache
from lab.shell import Argv, LabError, install_packages, output
from lab.steps import Say

__all__ = ["Visit", "chart_library", "find_chromium", "visit"]

_ECHARTS = "echarts@6.1.0"
# What the registry says of this version; anything else is refused.
_SHA512 = "q0yaFPggC9FUdsWH4blavRWFmxdrIodbkoKNAjJudAI6CA9gNPxHtV2RcZNEepZVlk4yvBYkOkbk6HIVpIyHZA=="
_MEMBER = "package/dist/echarts.min.js"
_CONSOLE = re.compile(r"CONSOLE[:(]\s*\d+.*")


def chart_library(say: Say) -> str:
    """The source of the chart library, from the user's cache after the first time."""
    cached = user_cache() / "npm" / f"{_ECHARTS}.min.js"
    if cached.exists():
        return cached.read_text(encoding="utf-8")
    if shutil.which("npm") is None:
        install_packages(["npm"], "npm, which fetches the chart library, is missing")
    say(f"fetching {_ECHARTS} from npm")
    with tempfile.TemporaryDirectory() as folder:
        output(["npm", "pack", _ECHARTS, "--silent"], cwd=Path(folder), timeout=300)
        (archive,) = Path(folder).glob("*.tgz")
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != _SHA512:
            raise LabError(f"{_ECHARTS}: expected sha512 {_SHA512}, found {found}.")
        with tarfile.open(archive) as packed:
            member = packed.extractfile(_MEMBER)
            if member is None:
                raise LabError(f"{_ECHARTS} has no {_MEMBER}.")
            source = member.read().decode()
    cached.parent.mkdir(parents=True, exist_ok=True)
    partial = cached.with_suffix(".partial")
    partial.write_text(source, encoding="utf-8")
    partial.replace(cached)
    return source


def find_chromium() -> str:
    """Chromium's path; installed on Debian if it is missing and this is root."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        install_packages(["chromium"], "Chromium, which draws the pages, is missing")
        found = shutil.which("chromium")
    if found is None:
        raise LabError("Chromium is installed, and still no program of that name is found.")
    return found


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a browser saw: the page after its scripts ran, and what was written to its console."""

    page: str
    console: tuple[str, ...]


def visit(chromium: str, page: Path, screenshot: Path, *, height: int, width: int = 1600) -> Visit:
    """Open a page without a window, draw it, write its picture."""
    screenshot.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        argv: Argv = [
            chromium,
            "--headless=new",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            # Chromium refuses to run as root with its sandbox; the page is our own.
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            "--enable-logging=stderr",
            "--virtual-time-budget=10000",
            f"--user-data-dir={profile}",
            f"--window-size={width},{height}",
            f"--screenshot={screenshot}",
            "--dump-dom",
            page.as_uri(),
        ]
        try:
            done = subprocess.run(
                [str(word) for word in argv],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=120,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(f"Chromium took longer than 120 s for {page.name}.") from error
    if done.returncode != 0 or not screenshot.exists():
        raise LabError(
            f"Chromium drew no picture of {page.name} ({done.returncode}):\n{done.stderr[-500:]}"
        )
    return Visit(page=done.stdout, console=tuple(_CONSOLE.findall(done.stderr)))
