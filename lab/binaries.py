# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the oldest supported Debian on the control node: what they accept, every newer one does.

Out of the package that the image of the test hosts holds where there is an engine, else out of this
machine's own. Neither needs root, and nothing is installed on the machine.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from lab.images import RELEASES
from lab.paths import user_cache
from lab.shell import LabError, answers, output

__all__ = ["ALERTMANAGER", "PROMETHEUS", "PROMTOOL", "ensure_binary"]

_RELEASE = RELEASES[0]
#: Name of a program in /usr/bin, and the package that it is in.
PROMTOOL = ("promtool", "prometheus")
PROMETHEUS = ("prometheus", "prometheus")
ALERTMANAGER = ("prometheus-alertmanager", "prometheus-alertmanager")


def _from_image(package: str, folder: Path) -> None:
    image = f"{_RELEASE.image}:latest"
    if not answers(["docker", "image", "inspect", image]):
        raise LabError(f"there is no image {image}")
    # As an archive, so that the files are this user's.
    unpack = f"dpkg-deb --fsys-tarfile /var/cache/apt/archives/{package}_*.deb > /out/content.tar"
    argv = ["docker", "run", "--rm", "--network", "none", "--volume", f"{folder}:/out", image]
    output([*argv, "sh", "-c", unpack])
    # Not with Python's own tarfile: its filters are younger than Debian 12's Python 3.11.2.
    (folder / "content").mkdir()
    extract = ["tar", "--extract", "--no-same-owner", "--file", str(folder / "content.tar")]
    output([*extract, "--directory", str(folder / "content")])


def _from_archive(package: str, folder: Path) -> None:
    # Fails where the lists are fresh enough but only root may refresh them: the download decides.
    answers(["apt-get", "-q", "update"], timeout=120)
    output(["apt-get", "-q", "-oAPT::Sandbox::User=", "download", package], cwd=folder)
    [archive] = folder.glob(f"{package}_*.deb")
    output(["dpkg-deb", "--extract", archive, folder / "content"])


def ensure_binary(name: str, package: str) -> Path:
    """Return a program's path beside all that its package has, fetching that the first time.

    Raises LabError with every way that was tried when it cannot be had.
    """
    root = user_cache() / "packages" / _RELEASE.name / package
    wanted = root / "usr" / "bin" / name
    if answers([wanted, "--version"]):
        return wanted
    root.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for way in (_from_image, _from_archive):
        with tempfile.TemporaryDirectory(dir=root.parent) as folder:
            content = Path(folder) / "content"
            try:
                way(package, Path(folder))
                output([content / "usr" / "bin" / name, "--version"])
                shutil.rmtree(root, ignore_errors=True)
                content.rename(root)
            except (LabError, OSError) as error:
                failures.append(str(error))
                continue
            return wanted
    reasons = "; ".join(failures)
    raise LabError(f"No {name} of Debian {_RELEASE.number} can be had: {reasons}.")
