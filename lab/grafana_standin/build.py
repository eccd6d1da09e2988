# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the stand-in's package and archive: `python3 -m lab.grafana_standin.build FOLDER`.

Their files lie where the vendor's put them, so that what the role does to them is tested.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

__all__ = ["VERSION", "build", "build_archive"]

VERSION = "12.0.0~standin"
_SOURCE = Path(__file__).parent
# Everything in the package has this time: the same files make the same package.
_EPOCH = "1700000000"

_CONTROL = f"""\
Package: grafana
Version: {VERSION}
Architecture: all
Maintainer: KoproGo contributors <noreply@invalid.example>
Depends: adduser, python3 (>= 3.11), python3-yaml
Section: misc
Priority: optional
Description: stand-in for Grafana, for tests only
 This is not Grafana. It has the file layout of the vendor's package and just enough
 behaviour to test the role that installs and configures the real one.
"""
_POSTINST = """\
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    getent group grafana >/dev/null || addgroup --system --quiet grafana
    getent passwd grafana >/dev/null || adduser --system --quiet --home /usr/share/grafana --no-create-home \\
        --ingroup grafana --disabled-password --shell /bin/false grafana
    mkdir -p /var/lib/grafana /var/log/grafana
    chown -R grafana:grafana /var/lib/grafana /var/log/grafana
    chgrp grafana /etc/grafana/grafana.ini
    if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
    echo "grafana-server is not started; this is a stand-in, not Grafana."
fi
"""
_UNIT = """\
[Unit]
Description=Stand-in for Grafana (not Grafana)
After=network-online.target
Wants=network-online.target

[Service]
EnvironmentFile=/etc/default/grafana-server
User=grafana
Group=grafana
Type=simple
Restart=on-failure
WorkingDirectory=/usr/share/grafana
ExecStart=/usr/share/grafana/bin/grafana server --config=${CONF_FILE} --packaging=deb

[Install]
WantedBy=multi-user.target
"""
_DEFAULTS = "CONF_FILE=/etc/grafana/grafana.ini\nGRAFANA_USER=grafana\nGRAFANA_GROUP=grafana\n"
_INI = "; As the package brings it: all addresses, the well-known password.\n[server]\n;http_port = 3000\n"


def _write(root: Path, name: str, text: str, mode: int = 0o644) -> None:
    path = root / name
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def _lay_out(root: Path) -> None:
    _write(root, "DEBIAN/control", _CONTROL)
    _write(root, "DEBIAN/postinst", _POSTINST, 0o755)
    _write(root, "DEBIAN/conffiles", "/etc/default/grafana-server\n/etc/grafana/grafana.ini\n")
    _write(root, "etc/default/grafana-server", _DEFAULTS)
    _write(root, "etc/grafana/grafana.ini", _INI, 0o640)
    _write(root, "usr/lib/systemd/system/grafana-server.service", _UNIT)
    program = root / "usr/share/grafana/bin/grafana"
    program.parent.mkdir(mode=0o755, parents=True)
    shutil.copyfile(_SOURCE / "standin.py", program)
    program.chmod(0o755)
    for name, command in (
        ("grafana-server", "grafana server"),
        ("grafana-cli", "grafana cli"),
        ("grafana", "grafana"),
    ):
        _write(
            root,
            f"usr/sbin/{name}",
            f'#!/bin/sh\nexec /usr/share/grafana/bin/{command} "$@"\n',
            0o755,
        )


def build(folder: Path) -> Path:
    """Write the package into a folder."""
    package = folder / f"grafana_{VERSION}_all.deb"
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "root"
        root.mkdir(mode=0o755)
        _lay_out(root)
        subprocess.run(
            ["dpkg-deb", "--build", "--root-owner-group", "-Zgzip", str(root), str(package)],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "SOURCE_DATE_EPOCH": _EPOCH},
        )
    return package


def build_archive(folder: Path) -> Path:
    """Write the archive into a folder."""
    path = folder / f"grafana-{VERSION}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo(f"grafana-{VERSION}/bin/grafana")
        info.size, info.mode = (_SOURCE / "standin.py").stat().st_size, 0o755
        with (_SOURCE / "standin.py").open("rb") as program:
            archive.addfile(info, program)
    return path


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("expected: python3 -m lab.grafana_standin.build FOLDER")
    for made in (build(Path(sys.argv[1])), build_archive(Path(sys.argv[1]))):
        sys.stdout.write(f"{made} {hashlib.sha256(made.read_bytes()).hexdigest()}\n")
