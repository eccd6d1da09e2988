# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Links elsewhere that lead through the active set: make the wanted ones, remove the others.

A file that a link replaces is kept beside it, and comes back when the link goes.
"""

from __future__ import annotations

import posixpath

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._plan import is_ours
from ansible_collections.koprogo.observability.plugins.module_utils._sets import Manifest, Store

__all__ = ["ancestors", "make_links", "missing_directories", "remove_link", "remove_links"]

_KEPT = ".before-koprogo"


def make_links(store: Store, manifest: Manifest) -> None:
    """Make the links of a set, and the directories they need."""
    for path, relative in manifest.links.items():
        target = store.link_target(relative)
        if _io.read_link(path) == target:
            continue
        for parent in reversed(ancestors(path)):
            if _io.lookup(parent) is None:
                _io.make_directory(parent, mode=0o755)
        _keep(path)
        _io.make_link(target, path)


def remove_links(store: Store, *, keep: Manifest | None) -> None:
    """Remove the links of any of our sets that the set to keep does not want."""
    wanted = keep.links if keep else {}
    folders: set[str] = set()
    for manifest in store.manifests():
        folders.update(manifest.link_directories)
        for path in manifest.links:
            _io.remove_file(_io.intermediate(path))
            if path not in wanted:
                remove_link(path, store)
    needed = {parent for path in wanted for parent in ancestors(path)}
    for folder in sorted(folders - needed, reverse=True):
        _io.remove_directory(folder)


def remove_link(path: str, store: Store) -> None:
    """Remove a link of ours, and give its place back to the file that it took it from."""
    kept = f"{path}{_KEPT}"
    ours = is_ours(path, store)
    if _io.lookup(kept) is None:
        if ours:
            _io.remove_file(path)
    elif ours or _io.lookup(path) is None:
        _io.move(kept, path)
    else:
        # The file itself is there: a run was killed before it made the link.
        _io.remove_file(kept)


def _keep(path: str) -> None:
    """Give a file a second name, which outlives the link in its place."""
    entry = _io.lookup(path)
    if entry is not None and entry.kind == "file":
        _io.remove_file(f"{path}{_KEPT}")
        _io.link_or_copy(path, f"{path}{_KEPT}", entry)


def missing_directories(paths: list[str]) -> set[str]:
    """Return the directories that links need and that do not exist."""
    return {parent for path in paths for parent in ancestors(path) if _io.lookup(parent) is None}


def ancestors(path: str) -> list[str]:
    """Return the directories above a path, the nearest first, without the root."""
    found = []
    parent = posixpath.dirname(path)
    while parent not in ("", "/"):
        found.append(parent)
        parent = posixpath.dirname(parent)
    return found
