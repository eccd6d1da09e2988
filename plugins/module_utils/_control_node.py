# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""From which address the control node is connected, as this host sees it.

sudo and su empty the environment, so the parents are asked: the shell that sshd started has what it set.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

__all__ = ["client_address"]

_NAMES = (b"SSH_CONNECTION", b"SSH_CLIENT")
# Deeper than any chain of shells and sudo.
_GENERATIONS = 32


def _parent(process: Path) -> str:
    for line in (process / "status").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("PPid:"):
            return line.split()[1]
    return "0"


def _from_environment(data: bytes) -> str:
    values = dict(entry.split(b"=", 1) for entry in data.split(b"\0") if b"=" in entry)
    for name in _NAMES:
        words = values.get(name, b"").decode("ascii", "replace").split()
        if words:
            try:
                found = ipaddress.ip_address(words[0].partition("%")[0])
            except ValueError:
                continue
            mapped = getattr(found, "ipv4_mapped", None)
            return str(mapped or found)
    return ""


def client_address(proc: Path = Path("/proc"), pid: str = "") -> str:
    """The SSH client's address, empty where the connection is none of SSH's."""
    current = pid or str(os.getpid())
    for _generation in range(_GENERATIONS):
        process = proc / current
        try:
            address = _from_environment((process / "environ").read_bytes())
            current = _parent(process)
        except OSError:
            return ""
        if address:
            return address
        if current in ("0", "1"):
            return ""
    return ""
