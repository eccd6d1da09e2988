# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a lab's host: makes the packages in a folder a repository that is signed as a vendor's is.

Argument: the folder. Beside dists/ it gets key.asc and, last, the key's fingerprint.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

__all__ = ["main"]

_KEYS = Path("/var/tmp/vendor-key")  # noqa: S108 - nobody else is on a lab's host


def run(*argv: str, stdin: str = "") -> str:
    """Standard output of a command."""
    environment = {**os.environ, "GNUPGHOME": str(_KEYS)}
    return subprocess.run(
        argv, check=True, input=stdin, capture_output=True, text=True, env=environment
    ).stdout


def main(folder: Path) -> None:
    """Make it."""
    architecture = run("dpkg", "--print-architecture").strip()
    dist = folder / "dists/stable"
    index = dist / f"main/binary-{architecture}/Packages"
    index.parent.mkdir(parents=True)
    entries = (
        run("dpkg-deb", "-f", str(package))
        + f"Filename: {package.name}\nSize: {package.stat().st_size}\n"
        + f"SHA256: {hashlib.sha256(package.read_bytes()).hexdigest()}\n\n"
        for package in sorted(folder.glob("*.deb"))
    )
    index.write_text("".join(entries), encoding="utf-8")
    data = index.read_bytes()
    release = (
        f"Origin: lab\nSuite: stable\nCodename: stable\nArchitectures: {architecture}\nComponents: main\n"
        f"Date: {run('date', '-u', '-R').strip()}\nSHA256:\n"
        f" {hashlib.sha256(data).hexdigest()} {len(data)} {index.relative_to(dist)}\n"
    )
    _KEYS.mkdir(mode=0o700)
    no_passphrase = ("--passphrase", "")
    run("gpg", "--batch", *no_passphrase, "--quick-gen-key", "Lab vendor <lab@invalid>", "ed25519")
    (dist / "InRelease").write_text(
        run("gpg", "--batch", "--clearsign", stdin=release), encoding="utf-8"
    )
    (folder / "key.asc").write_text(run("gpg", "--armor", "--export"), encoding="utf-8")
    listing = run("gpg", "--with-colons", "--list-keys").splitlines()
    fingerprint = next(line.split(":")[9] for line in listing if line.startswith("fpr:"))
    (folder / "fingerprint").write_text(fingerprint, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
