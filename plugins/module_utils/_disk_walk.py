# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Walk one file system by folder descriptors, with as much memory as the tree is deep.

A folder that is exchanged for a link meanwhile cannot lead out of the tree: each is opened relative to
its parent, without following a link, and its device is compared.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from ansible_collections.koprogo.observability.plugins.module_utils._disk_places import (
    is_database,
    is_tablespace,
)

__all__ = ["Found", "walk"]

# A descriptor and an iterator are held for each level; 1024 is the usual limit of a process.
_DEEPEST = 300
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

#: Descriptor and path of a folder, and an entry in it that isn't a folder.
Found = tuple[int, str, "os.DirEntry[str]"]


def walk(
    descriptor: int,
    path: str,
    *,
    skip: Callable[[str, str], None],
    mounts: frozenset[str] = frozenset(),
    recurse: bool = True,
    databases: bool = False,
    leave: Callable[[str, int], None] | None = None,
) -> Iterator[Found]:
    """Entries below an open folder, which is closed at the end; folders are entered, not returned.

    ``skip`` learns of folders that are not entered, by path and reason: C(mount), C(database),
    C(too_deep), or an error's text. With ``databases`` those are entered too. ``leave``
    learns of each folder, by path and depth, when all in it was seen.
    """
    device = os.fstat(descriptor).st_dev
    stack = [(os.scandir(descriptor), descriptor, path)]
    try:
        while stack:
            entries, folder, name = stack[-1]
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    yield folder, name, entry
                    continue
                if not recurse:
                    continue
                below = f"{name}/{entry.name}" if name != "/" else f"/{entry.name}"
                if len(stack) >= _DEEPEST:
                    skip(below, "too_deep")
                    continue
                if below in mounts:
                    skip(below, "mount")
                    continue
                child, reason = _enter(folder, entry.name, device, databases=databases)
                if reason:
                    skip(below, reason)
                if child is not None:
                    stack.append((os.scandir(child), child, below))
                    break
            else:
                stack.pop()
                entries.close()
                os.close(folder)
                if leave is not None:
                    leave(name, len(stack))
    finally:
        for entries, folder, _name in stack:
            entries.close()
            os.close(folder)


def _enter(parent: int, name: str, device: int, *, databases: bool) -> tuple[int | None, str]:
    """Open a folder in another one; None, and the reason, if it must not be entered."""
    if is_tablespace(name) and not databases:
        return None, "database"
    try:
        descriptor = os.open(name, _OPEN, dir_fd=parent)
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, error.strerror or str(error)
    reason = ""
    if os.fstat(descriptor).st_dev != device:
        reason = "mount"
    elif not databases and is_database(descriptor):
        reason = "database"
    if reason:
        os.close(descriptor)
        return None, reason
    return descriptor, ""
