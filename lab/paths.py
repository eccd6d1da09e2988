# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the lab keeps what it makes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

__all__ = ["ROOT", "STATE", "VENV", "digest", "user_cache"]

ROOT = Path(__file__).resolve().parent.parent
# Of this checkout: keys and known hosts of the demo, logs, the built collection.
STATE = ROOT / ".cache" / "lab"
VENV = ROOT / ".venv"


def user_cache() -> Path:
    """Return the folder that all checkouts of one user share: archives and the engine's log."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification says that a relative value is to be ignored.
    cache = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return cache / "koprogo-lab"


def digest(*parts: str | bytes) -> str:
    """Return a short hash of the parts; where one part ends matters."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "big"))
        whole.update(data)
    return whole.hexdigest()[:16]
