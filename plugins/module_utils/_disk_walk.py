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
from collections.abc import Callable, Generator, Iterator

from ansible_collections.koprogo.observability.plugins.module_utils._disk_places import (
    is_database,
    is_tablespace,
)

__all__ = ["Folder", "walk"]

# A descriptor is held for each level; 1024 is the usual limit of a process.
_DEEPEST = 500
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

#: Descriptor and path of a folder, its entries, and the list that takes names of folders to enter.
Folder = tuple[int, str, Iterator["os.DirEntry[str]"], list[str]]


def walk(
    descriptor: int,
    path: str,
    *,
    skip: Callable[[str, str], None],
    mounts: frozenset[str] = frozenset(),
    databases: bool = False,
    leave: Callable[[str, int], None] | None = None,
) -> Generator[Folder]:
    """Folders from an open one down, each before those in it; descriptors are closed at the end.

    Whoever iterates reads the entries and appends the names of folders that are to be entered: a call
    for each file would cost more than the file. ``skip`` learns of folders that are not entered, by
    path and reason: C(mount), C(database), C(too_deep), or an error's text. With ``databases`` those are
    entered too. ``leave`` learns of each folder, by path and depth, when all below it was seen.
    """
    device = os.fstat(descriptor).st_dev
    stack: list[tuple[int, str, list[str]]] = []
    opened: int | None = descriptor
    name = path
    try:
        while True:
            if opened is not None:
                folders: list[str] = []
                stack.append((opened, name, folders))
                with os.scandir(opened) as entries:
                    yield opened, name, entries, folders
                folders.reverse()
                opened = None
            if not stack:
                return
            parent, above, waiting = stack[-1]
            if not waiting:
                stack.pop()
                os.close(parent)
                if leave is not None:
                    leave(above, len(stack))
                continue
            part = waiting.pop()
            name = f"{above}/{part}" if above != "/" else f"/{part}"
            if name in mounts:
                skip(name, "mount")
            elif len(stack) >= _DEEPEST:
                skip(name, "too_deep")
            else:
                opened, reason = _enter(parent, part, device, databases=databases)
                if reason:
                    skip(name, reason)
    finally:
        for each, _name, _folders in stack:
            os.close(each)


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
