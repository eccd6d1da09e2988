"""Runs in the container: a package laid out as Loki's vendor does.

Arguments: the real program, the folder to put it in. The package's script restarts the service by
systemctl, as the vendor's does, and its configuration listens on every address: neither must be seen
to happen.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "3.7.8"
SCRIPT = """\
#!/bin/sh
set -e
id loki >/dev/null 2>&1 || useradd --system --gid nogroup --shell /bin/false loki
systemctl daemon-reload
systemctl enable loki
systemctl restart loki || :
"""
UNIT = """\
[Unit]
Description=Loki service
[Service]
Type=simple
User=loki
ExecStart=/usr/bin/loki -config.file /etc/loki/config.yml
[Install]
WantedBy=multi-user.target
"""
CONFIG = """\
auth_enabled: false
server: {http_listen_port: 3100}
common:
  path_prefix: /tmp/loki
  ring: {kvstore: {store: inmemory}}
  replication_factor: 1
  storage: {filesystem: {chunks_directory: /tmp/loki/chunks}}
schema_config:
  configs:
    - {from: 2020-10-24, store: tsdb, object_store: filesystem, schema: v13, index: {prefix: i_, period: 24h}}
"""


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def put(root: Path, name: str, text: str, mode: int = 0o644) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def main(program: Path, folder: Path) -> None:
    root = Path("/var/tmp/vendor-package")
    architecture = run("dpkg", "--print-architecture").strip()
    control = f"Package: loki\nVersion: {VERSION}\nArchitecture: {architecture}\n"
    control += "Maintainer: lab\nDescription: lab\n"
    put(root, "DEBIAN/control", control)
    put(root, "DEBIAN/conffiles", "/etc/loki/config.yml\n")
    put(root, "DEBIAN/postinst", SCRIPT, 0o755)
    put(root, "etc/loki/config.yml", CONFIG)
    put(root, "etc/systemd/system/loki.service", UNIT)
    (root / "usr/bin").mkdir(parents=True)
    shutil.copy(program, root / "usr/bin/loki")
    folder.mkdir()
    made = folder / f"loki_{VERSION}_{architecture}.deb"
    run("dpkg-deb", "--build", "--root-owner-group", "-Znone", str(root), str(made))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
