"""Stand in for a module's C(os), to do something ahead of each call that changes a file.

Runs on the control node and, copied, on hosts: standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = ["STEPS", "Steps"]

STEPS = frozenset(
    {
        "chmod",
        "chown",
        "fchmod",
        "fchown",
        "fsync",
        "link",
        "mkdir",
        "rename",
        "rmdir",
        "symlink",
        "unlink",
        "utime",
        "write",
    }
)


class Steps:
    """C(os), with C(before) called ahead of every step; C(skip) names calls to leave out."""

    def __init__(self, before: Callable[[str], None], skip: frozenset[str] = frozenset()) -> None:
        """Call C(before) with the name of each step."""
        self._before = before
        self._skip = skip

    def __getattr__(self, name: str) -> Any:
        """Return the real function, or one that announces itself."""
        real = getattr(os, name)
        if name == "open":
            return self._open
        if name not in STEPS:
            return real

        def step(*args: Any, **kwargs: Any) -> Any:
            self._before(name)
            return None if name in self._skip else real(*args, **kwargs)

        return step

    def _open(self, path: str, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & os.O_CREAT:
            self._before("open")
        return os.open(path, flags, *args, **kwargs)
