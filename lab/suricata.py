# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Suricata on the control node, without root and without installing it: its package, and what that needs.

Debian's own packages are unpacked into the user's cache; what the machine has already is not fetched.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab.images import RELEASES
from lab.paths import user_cache
from lab.shell import LabError, output

__all__ = ["Engine", "ensure_suricata"]

_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
#: Releases that have it in their backports.
_BACKPORTS = ("bookworm",)


@dataclass(frozen=True)
class Engine:
    """Suricata, unpacked into a folder."""

    root: Path

    @property
    def program(self) -> Path:
        """The engine."""
        return self.root / "usr/bin/suricata"

    @property
    def settings(self) -> Path:
        """The folder of the package's F(classification.config) and the like."""
        return self.root / "etc/suricata"

    @property
    def environment(self) -> dict[str, str]:
        """Where it finds the libraries that came with it."""
        folders = [str(path) for path in (self.root / "usr/lib").glob("*-linux-gnu")]
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(folders)}

    def answers(self) -> bool:
        """Whether it starts."""
        try:
            output([self.program, "-V"], env=self.environment)
        except LabError:
            return False
        return True


def _codename() -> str:
    found = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    if found not in {release.suite for release in RELEASES}:
        raise LabError(f"Suricata: expected Debian 12 or 13 to fetch it on, found '{found}'.")
    return found


def _sources(folder: Path, suite: str) -> Path:
    """The machine's own mirror of Debian, with the backports where the engine is there."""
    listed = output(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"]
    )
    mirrors = [line.split()[0] for line in listed.splitlines() if line.split()[1:] == [suite]]
    if not mirrors:
        raise LabError(
            f"Suricata: expected a source of packages for {suite} on this machine, found none."
        )
    suites = f"{suite} {suite}-backports" if suite in _BACKPORTS else suite
    signed = f"Signed-By: {_KEYS}\n" if _KEYS.exists() else ""
    text = f"Types: deb\nURIs: {mirrors[0]}\nSuites: {suites}\nComponents: main\n{signed}"
    folder.mkdir()
    (folder / "debian.sources").write_text(text, encoding="utf-8")
    return folder


def _fetch(folder: Path, suite: str) -> Path:
    lists, cache = folder / "lists", folder / "cache"
    for path in (lists / "partial", cache / "archives" / "partial"):
        path.mkdir(parents=True)
    places = {
        "Dir::State::Lists": lists,
        "Dir::Cache": cache,
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": _sources(folder / "sources", suite),
        "APT::Sandbox::User": "",
        # Nothing of the machine's is touched, so nothing of it has to be locked.
        "Debug::NoLocking": "1",
    }
    options = [f"-o{key}={value}" for key, value in places.items()]
    output(["apt-get", "-qq", *options, "update"], timeout=300)
    target = [f"--target-release={suite}-backports"] if suite in _BACKPORTS else []
    wanted = ["--download-only", "--reinstall", "--no-install-recommends", "install", "suricata"]
    output(["apt-get", "-qq", "--yes", *options, *target, *wanted], timeout=300)
    root = folder / "root"
    for archive in sorted((cache / "archives").glob("*.deb")):
        output(["dpkg-deb", "--extract", archive, root])
    return root


def ensure_suricata() -> Engine:
    """Return the engine of this machine's Debian, fetching it the first time; LabError where that fails."""
    suite = _codename()
    engine = Engine(user_cache() / "packages" / suite / "suricata")
    if engine.answers():
        return engine
    engine.root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=engine.root.parent) as folder:
        fetched = Engine(_fetch(Path(folder), suite))
        if not fetched.answers():
            raise LabError("Suricata: its package was fetched and unpacked, but does not start.")
        shutil.rmtree(engine.root, ignore_errors=True)
        fetched.root.rename(engine.root)
    return engine
