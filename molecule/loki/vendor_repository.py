"""Runs in the container: a package laid out as Loki's vendor does, in a repository signed as it is.

Arguments: the real program, the folder to make. The package's script restarts the service by systemctl, as
the vendor's does, and its configuration listens on every address: neither must be seen to happen.
"""

from __future__ import annotations

import hashlib
import os
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


def run(*argv: str, stdin: str = "") -> str:
    environment = {**os.environ, "GNUPGHOME": "/var/tmp/vendor-key"}
    return subprocess.run(
        argv, check=True, input=stdin, capture_output=True, text=True, env=environment
    ).stdout


def put(root: Path, name: str, text: str, mode: int = 0o644) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def package(program: Path, pool: Path, architecture: str) -> Path:
    root = Path("/var/tmp/vendor-package")
    control = f"Package: loki\nVersion: {VERSION}\nArchitecture: {architecture}\n"
    control += "Maintainer: lab\nDescription: lab\n"
    put(root, "DEBIAN/control", control)
    put(root, "DEBIAN/conffiles", "/etc/loki/config.yml\n")
    put(root, "DEBIAN/postinst", SCRIPT, 0o755)
    put(root, "etc/loki/config.yml", CONFIG)
    put(root, "etc/systemd/system/loki.service", UNIT)
    (root / "usr/bin").mkdir(parents=True)
    shutil.copy(program, root / "usr/bin/loki")
    made = pool / f"loki_{VERSION}_{architecture}.deb"
    run("dpkg-deb", "--build", "--root-owner-group", "-Znone", str(root), str(made))
    return made


def main() -> None:
    program, folder = Path(sys.argv[1]), Path(sys.argv[2])
    architecture = run("dpkg", "--print-architecture").strip()
    dist = folder / "dists/stable"
    index = dist / f"main/binary-{architecture}/Packages"
    index.parent.mkdir(parents=True)
    made = package(program, folder, architecture)
    index.write_text(
        run("dpkg-deb", "-f", str(made))
        + f"Filename: {made.name}\nSize: {made.stat().st_size}\n"
        + f"SHA256: {hashlib.sha256(made.read_bytes()).hexdigest()}\n\n",
        encoding="utf-8",
    )
    data = index.read_bytes()
    release = (
        f"Origin: lab\nSuite: stable\nCodename: stable\nArchitectures: {architecture}\nComponents: main\n"
        f"Date: {run('date', '-u', '-R').strip()}\nSHA256:\n"
        f" {hashlib.sha256(data).hexdigest()} {len(data)} {index.relative_to(dist)}\n"
    )
    Path("/var/tmp/vendor-key").mkdir(mode=0o700)
    run(
        "gpg",
        "--batch",
        "--passphrase",
        "",
        "--quick-gen-key",
        "Lab vendor <lab@invalid>",
        "ed25519",
    )
    (dist / "InRelease").write_text(
        run("gpg", "--batch", "--clearsign", stdin=release), encoding="utf-8"
    )
    (folder / "key.asc").write_text(run("gpg", "--armor", "--export"), encoding="utf-8")
    listing = run("gpg", "--with-colons", "--list-keys").splitlines()
    fingerprint = next(line.split(":")[9] for line in listing if line.startswith("fpr:"))
    (folder / "fingerprint").write_text(fingerprint, encoding="utf-8")


if __name__ == "__main__":
    main()
