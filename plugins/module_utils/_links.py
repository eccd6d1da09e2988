# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Links elsewhere that lead through the active set: make the wanted ones, remove the others."""

from __future__ import annotations

import posixpath

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._plan import is_ours
from ansible_collections.koprogo.observability.plugins.module_utils._sets import Manifest, Store

__all__ = ["ancestors", "make_links", "missing_directories", "remove_links"]


def make_links(store: Store, manifest: Manifest) -> None:
    """Make the links of a set, and the directories they need."""
    for path, relative in manifest.links.items():
        target = store.link_target(relative)
        if _io.read_link(path) == target:
            continue
        for parent in reversed(ancestors(path)):
            if _io.lookup(parent) is None:
                _io.make_directory(parent, mode=0o755)
        _io.make_link(target, path)


def remove_links(store: Store, *, keep: Manifest | None) -> None:
    """Remove the links of any of our sets that the set to keep does not want."""
    wanted = keep.links if keep else {}
    folders: set[str] = set()
    for manifest in store.manifests():
        folders.update(manifest.link_directories)
        for path in manifest.links:
            _io.remove_file(_io.intermediate(path))
            if path not in wanted and is_ours(path, store):
                _io.remove_file(path)
    needed = {parent for path in wanted for parent in ancestors(path)}
    for folder in sorted(folders - needed, reverse=True):
        _io.remove_directory(folder)


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
