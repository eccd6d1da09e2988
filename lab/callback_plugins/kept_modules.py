# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep what Ansible packs of each module from one run to the next, for the scenarios."""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: kept_modules
type: aggregate
short_description: Keep what Ansible packs of each module from one run to the next
description:
  - Each run packs each module that it sends with all that it imports, anew. For a short playbook that is a
    third of what the control node does, and the scenarios run some hundred.
  - The packages are kept below C(.cache) of the checkout, by the sources that they are made of.
requirements:
  - Enable in C(callbacks_enabled).
"""

_ROOT = Path(__file__).resolve().parents[2]
_PLACE = _ROOT / ".cache" / "lab" / "modules"
_SECONDS_KEPT = 86_400


def _digest() -> str:
    """Of everything that goes into a package: our sources, and the versions of all others."""
    digest = hashlib.sha256((_ROOT / "requirements.txt").read_bytes())
    for folder in ("module_utils", "modules"):
        for path in sorted((_ROOT / "plugins" / folder).glob("**/*.py")):
            digest.update(f"{path.relative_to(_ROOT)}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class CallbackModule(CallbackBase):
    """Ansible has a folder of packages for each run, and takes what is there: ours is put in its place."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kept_modules"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Before the first task: several runs may do so at once, and lock each package as they write it."""
        super().__init__(*args, **kwargs)
        folder = _PLACE / _digest()
        folder.mkdir(parents=True, exist_ok=True)
        folder.touch()
        for other in _PLACE.iterdir():
            if other.stat().st_mtime < time.time() - _SECONDS_KEPT:
                shutil.rmtree(other, ignore_errors=True)
        place = Path(constants.DEFAULT_LOCAL_TMP) / "ansiballz_cache"
        if not place.exists():
            place.symlink_to(folder)
