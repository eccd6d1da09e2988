# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of the test hosts: Debian with systemd, Python and an SSH server.

From the container registry where it answers, else made by mmdebstrap from Debian's own
mirror; the same packages either way. Each image also carries the package lists and the
archives of the packages that the roles install, so that no scenario downloads them again.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.paths import STATE, digest
from lab.shell import LabError, answers, install_packages, output, run
from lab.steps import Say

__all__ = [
    "RELEASES",
    "Release",
    "ensure_image",
    "extra_authorities",
    "image_of",
    "reachable",
]

LABEL = "koprogo.lab.recipe"
_SETUP = Path(__file__).with_name("image") / "setup.sh"

# What Ansible and a person need on a test host; everything else is the roles' business.
_PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
)
# Downloaded into the image, not installed.
_CACHED = (
    "crowdsec",
    "crowdsec-firewall-bouncer",
    "fail2ban",
    "nftables",
    "postgresql",
    "prometheus",
    "prometheus-alertmanager",
    "prometheus-blackbox-exporter",
    "prometheus-exporter-exporter",
    "prometheus-node-exporter",
    "prometheus-postgres-exporter",
    "prometheus-sql-exporter",
    "python3-aiohttp",
    "python3-asyncpg",
    "python3-cryptography",
    "python3-prometheus-client",
    "python3-psycopg2",
)
_AUTHORITIES = (
    Path("/usr/local/share/ca-certificates"),
    Path("/etc/pki/ca-trust/source/anchors"),
    Path("/etc/ca-certificates/trust-source/anchors"),
)


@dataclass(frozen=True)
class Release:
    """One Debian release that the collection supports."""

    name: str
    number: int
    suite: str

    @property
    def image(self) -> str:
        """The image's repository; scenarios use its tag ``latest``."""
        return f"koprogo-lab/{self.name}"


RELEASES = (Release("debian12", 12, "bookworm"), Release("debian13", 13, "trixie"))


def image_of(name: str) -> str:
    """Return the image of a release, by the release's name."""
    return next(release.image for release in RELEASES if release.name == name) + ":latest"


def extra_authorities(folders: Iterable[Path] = _AUTHORITIES) -> list[Path]:
    """Return the certificate authorities that this machine trusts in addition."""
    found: list[Path] = []
    for folder in folders:
        if folder.is_dir():
            found += [path for path in folder.rglob("*") if path.suffix in (".crt", ".pem")]
    return sorted(path for path in found if b"BEGIN CERTIFICATE" in path.read_bytes())


def recipe(release: Release) -> str:
    """Return the hash of everything that decides what is in the image."""
    authorities = [path.read_bytes() for path in extra_authorities()]
    words = " ".join((*_PACKAGES, "|", *_CACHED))
    return digest(release.suite, words, _SETUP.read_bytes(), *authorities)


def reachable(url: str, *, timeout: float = 4) -> bool:
    """Say whether a server answers at all; a refusal such as 401 is an answer."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310  # ours, https
            return bool(answer.status)
    except urllib.error.HTTPError as error:
        # A proxy's refusal is not the server's answer.
        return error.code in (401, 404, 405)
    except (OSError, ssl.SSLError, socket.gaierror, ValueError):
        return False


def _pull(release: Release, say: Say) -> str | None:
    """Fetch the official image; None when the registry cannot be had."""
    image = f"debian:{release.number}"
    if not reachable("https://registry-1.docker.io/v2/"):
        return None
    say(f"{release.name}: pulling {image}")
    if answers(["docker", "pull", "--quiet", image], timeout=300):
        return image
    return None


def _bootstrap(release: Release, say: Say, log: Path) -> str:
    """Make a base image from Debian's mirror, unless an earlier one has the same packages."""
    if shutil.which("mmdebstrap") is None:
        install_packages(["mmdebstrap"], "No container registry answers and mmdebstrap is missing")
    image = f"koprogo-lab/base-{release.name}:{digest(release.suite, *_PACKAGES)}"
    if answers(["docker", "image", "inspect", image]):
        return image
    say(f"{release.name}: no container registry answers, making it with mmdebstrap")
    include = f"--include={','.join(_PACKAGES)}"
    with log.open("ab") as messages:
        maker = subprocess.Popen(
            ["mmdebstrap", "--variant=minbase", include, release.suite, "-"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
        )
        subprocess.run(
            ["docker", "import", "--message", "mmdebstrap", "-", image],
            stdin=maker.stdout,
            stdout=messages,
            stderr=messages,
            check=False,
        )
        if maker.wait() != 0:
            raise LabError(f"mmdebstrap {release.suite} failed; see {log}.")
    return image


def ensure_image(release: Release, say: Say) -> str:
    """Make the image of a release unless the one that is there has the same recipe."""
    wanted = recipe(release)
    tagged = f"{release.image}:{wanted}"
    latest = f"{release.image}:latest"
    if answers(["docker", "image", "inspect", tagged]):
        # Another checkout may have moved the tag that the scenarios use.
        output(["docker", "tag", tagged, latest])
        return f"{latest} is up to date"
    log = STATE / f"image-{release.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    base = _pull(release, say) or _bootstrap(release, say, log)
    say(f"{release.name}: fetching the packages that the roles install")
    builder = f"koprogo-lab-build-{release.name}-{os.getpid()}"
    try:
        output(["docker", "create", "--name", builder, base, "sleep", "3600"])
        output(["docker", "cp", _SETUP.parent, f"{builder}:/opt/lab"])
        output(["docker", "start", builder])
        output(["docker", "exec", builder, "mkdir", "/opt/lab/ca"])
        for number, authority in enumerate(extra_authorities()):
            target = f"{builder}:/opt/lab/ca/lab-{number}-{authority.stem}.crt"
            output(["docker", "cp", "--follow-link", authority, target])
        lists = [" ".join(_PACKAGES), " ".join(_CACHED)]
        run(["docker", "exec", builder, "/opt/lab/setup.sh", *lists], log, timeout=900)
        output(["docker", "exec", builder, "rm", "-rf", "/opt/lab"])
        options = ["--change", 'CMD ["/sbin/init"]', "--change", "ENV container=docker"]
        options += ["--change", f"LABEL {LABEL}={wanted}"]
        output(["docker", "commit", *options, builder, tagged], timeout=300)
    finally:
        answers(["docker", "rm", "--force", "--volumes", builder], timeout=60)
    output(["docker", "tag", tagged, latest])
    return f"{latest} made from {base}"
