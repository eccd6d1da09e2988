# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""promtool on the control node, of the oldest supported Debian: what it accepts, every newer one does.

Out of the package that the image of the test hosts holds where there is an engine, else out of this
machine's own. Neither needs root, and nothing is installed on the machine.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from lab.images import RELEASES
from lab.paths import user_cache
from lab.shell import LabError, answers, output

__all__ = ["ensure_promtool"]

_RELEASE = RELEASES[0]
_EXTRACT = (
    "dpkg-deb --fsys-tarfile /var/cache/apt/archives/prometheus_*.deb "
    "| tar --extract --to-stdout ./usr/bin/promtool > /out/promtool"
)


def _from_image(folder: Path) -> None:
    image = f"{_RELEASE.image}:latest"
    if not answers(["docker", "image", "inspect", image]):
        raise LabError(f"there is no image {image}")
    argv = ["docker", "run", "--rm", "--network", "none", "--volume", f"{folder}:/out", image]
    output([*argv, "sh", "-c", _EXTRACT])


def _from_package(folder: Path) -> None:
    # Fails where the lists are fresh enough but only root may refresh them: the download decides.
    answers(["apt-get", "-q", "update"], timeout=120)
    output(["apt-get", "-q", "-oAPT::Sandbox::User=", "download", "prometheus"], cwd=folder)
    [package] = folder.glob("prometheus_*.deb")
    output(["dpkg-deb", "--extract", package, folder / "content"])
    (folder / "content/usr/bin/promtool").rename(folder / "promtool")


def ensure_promtool() -> Path:
    """Return promtool's path, fetching it the first time.

    Raises LabError with every way that was tried when it cannot be had.
    """
    wanted = user_cache() / "promtool" / _RELEASE.name / "promtool"
    if answers([wanted, "--version"]):
        return wanted
    wanted.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for way in (_from_image, _from_package):
        with tempfile.TemporaryDirectory(dir=wanted.parent) as name:
            fetched = Path(name) / "promtool"
            try:
                way(Path(name))
                fetched.chmod(0o755)
                output([fetched, "--version"])
            except (LabError, OSError) as error:
                failures.append(str(error))
                continue
            fetched.rename(wanted)
            return wanted
    reasons = "; ".join(failures)
    raise LabError(f"The rule tests need promtool of Debian {_RELEASE.number}: {reasons}.")
