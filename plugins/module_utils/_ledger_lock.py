# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""One remediation at a time on a host: a lock that the kernel frees however its holder ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator, Sequence
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._errors import LockedError

__all__ = ["LOCKS", "host_lock"]

#: On file systems in RAM: a lock must be had on a full disk, and goes with a reboot.
LOCKS = ("/run/koprogo-remediation.lock", "/dev/shm/koprogo-remediation.lock")  # noqa: S108

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def host_lock(action: str, paths: Sequence[str] = LOCKS) -> Iterator[None]:
    """Hold every lock that can be had, so that two runs always meet at one of them.

    Raises LockedError at once, with C(holder), when another process has one, and when none can be had.
    """
    held: list[int] = []
    problems = []
    try:
        for path in paths:
            try:
                descriptor = os.open(path, _FLAGS, 0o600)
            except OSError as error:
                problems.append(f"{path}: {error.strerror or error}")
                continue
            held.append(descriptor)
            info = os.fstat(descriptor)
            # In a folder that anybody may write to only our own file counts.
            if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid():
                problems.append(f"{path}: it is not a file of our own")
                os.close(held.pop())
                continue
            _lock(descriptor)
            _say(descriptor, action)
        if not held:
            raise LockedError(f"no lock can be had: {'; '.join(problems)}.", holder={})
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(descriptor)
        raise LockedError(
            "another remediation runs on this host: "
            f"{holder.get('action', 'unknown')}, process {holder.get('pid', 'unknown')}, "
            f"since {holder.get('time', 'unknown')}.",
            holder=holder,
        ) from None


def _say(descriptor: int, action: str) -> None:
    """Write who holds it; only a courtesy, so a full file system doesn't matter."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    data = json.dumps({"pid": os.getpid(), "action": action, "time": now}).encode()
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, data, 0)


def _holder(descriptor: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
