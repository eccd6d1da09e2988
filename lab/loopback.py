# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Daemons on this machine's loopback interface for as long as a block runs, for the benches."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lab.binaries import PROMETHEUS, ensure_binary
from lab.shell import Argv, LabError, tail

__all__ = ["ask", "daemon", "free_port", "prometheus"]

# The environment's proxy has no business here.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def ask(url: str, data: bytes | None = None, headers: Mapping[str, str] | None = None) -> bytes:
    """What a daemon answers."""
    request = urllib.request.Request(url, data, dict(headers or {}))  # noqa: S310 - our own daemon
    with _OPENER.open(request, timeout=60) as reply:
        answer: bytes = reply.read()
    return answer


def _answers(url: str) -> bool:
    try:
        ask(url)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def daemon(argv: Argv, log: Path, ready: str, *, cwd: Path | None = None) -> Iterator[None]:
    """Run a daemon until the block ends; ready is the address that answers once it is up."""
    words = [str(word) for word in argv]
    with log.open("w", encoding="utf-8") as target:
        process = subprocess.Popen(words, stdout=target, stderr=subprocess.STDOUT, cwd=cwd)
    try:
        deadline = time.monotonic() + 30
        while not _answers(ready):
            if process.poll() is not None or time.monotonic() > deadline:
                said = tail(log.read_text(encoding="utf-8", errors="replace"))
                raise LabError(f"{Path(words[0]).name} did not start:\n{said}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def prometheus(folder: Path, config: Mapping[str, Any], *flags: str) -> Iterator[str]:
    """A Prometheus with this configuration while the block runs; its address.

    The configuration is JSON, which is YAML too.
    """
    (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
    base = f"http://127.0.0.1:{free_port()}"
    argv: Argv = [
        ensure_binary(*PROMETHEUS),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={base.removeprefix('http://')}",
        "--log.level=warn",
        *flags,
    ]
    with daemon(argv, folder / "prometheus.log", f"{base}/-/ready"):
        yield base
