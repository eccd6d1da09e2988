# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container engine: found, or installed and started."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from lab.paths import user_cache
from lab.shell import LabError, install_packages, output
from lab.steps import Say

__all__ = ["ensure_engine", "fatal_line", "stale_pid"]

_PID_FILES = {
    "/var/run/docker.pid": "dockerd",
    "/run/docker/containerd/containerd.pid": "containerd",
}


def _version() -> str:
    """Return the engine's version, or an empty string when none answers."""
    if shutil.which("docker") is None:
        return ""
    try:
        return output(["docker", "version", "--format", "{{.Server.Version}}"], timeout=15).strip()
    except LabError:
        return ""


def stale_pid(text: str, program: str, proc: Path = Path("/proc")) -> bool:
    """Say whether a pid file names a process that is not (any more) the program.

    After a reboot or in a copied machine the number may belong to somebody else, and the
    engine then refuses to start.
    """
    try:
        comm = (proc / str(int(text)) / "comm").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return True
    return comm != program


def fatal_line(log: str) -> str:
    """Return the line of the engine's log that says why it stopped."""
    lines = [line for line in log.splitlines() if line.strip()]
    for line in reversed(lines):
        if "level=fatal" in line or line.startswith("failed to start"):
            return line
    return lines[-1] if lines else "it wrote nothing"


def _start_daemon(log: Path) -> subprocess.Popen[bytes]:
    for name, program in _PID_FILES.items():
        path = Path(name)
        if path.exists() and stale_pid(path.read_text(encoding="utf-8"), program):
            path.unlink()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as target:
        # A session of its own: the engine outlives this command and the terminal.
        return subprocess.Popen(
            ["dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=target,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def ensure_engine(say: Say) -> str:
    """Make sure that an engine answers; return a sentence that says which one."""
    version = _version()
    if version:
        return f"Docker engine {version} answers"
    if os.geteuid() != 0:
        raise LabError(
            "No Docker engine answers. Start Docker (and be in its group), or run this as root."
        )
    missing = []
    # The client alone is common in development containers: the daemon is what counts.
    if shutil.which("dockerd") is None:
        missing.append("docker.io")
    if shutil.which("iptables") is None:
        missing.append("iptables")
    if missing:
        say(f"installing {' '.join(missing)}")
        install_packages(missing, "The lab needs a container engine")
    if shutil.which("docker") is None:
        # From Debian 13 on a package of its own.
        install_packages(["docker-cli"], "The lab needs Docker's client")
    if version := _version():
        return f"Docker engine {version} answers"
    log = user_cache() / "dockerd.log"
    daemon: subprocess.Popen[bytes] | None = None
    if Path("/run/systemd/system").is_dir():
        say("starting docker.service")
        output(["systemctl", "start", "docker.service"], timeout=120)
    else:
        say(f"starting dockerd (its log: {log})")
        daemon = _start_daemon(log)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        version = _version()
        if version:
            return f"Docker engine {version} started"
        if daemon is not None and daemon.poll() is not None:
            break
        time.sleep(0.5)
    said = fatal_line(log.read_text(encoding="utf-8", errors="replace")) if log.exists() else ""
    raise LabError(f"The Docker engine did not start: {said or 'see journalctl -u docker'}")
