# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""The unpacked archives of a component, and the one link that says which is in use.

/opt/koprogo/<component>/<version>/             a complete archive, put there by one rename(2)
/opt/koprogo/<component>/<version>/.koprogo/    what we know of it: tree.json, links/<program>
/opt/koprogo/<component>/current -> <version>   flipped by one rename(2), all programs at once
/usr/local/bin/<program> -> …/current/.koprogo/links/<program>   never changes
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._archive import (
    ArchiveError,
    check_machine,
    find_binaries,
    unpack,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError

__all__ = ["Tree", "Version"]

_OWN = ".koprogo"
# How the folders begin that a run is filling or removing.
_UNFINISHED = (".new-", ".old-")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_-]*")


@dataclass(frozen=True, kw_only=True)
class Version:
    """A complete archive on the host. ``programs``: name of the link -> path in the folder."""

    folder: str
    sha256: str
    version: str
    wanted: dict[str, str]

    @property
    def shown(self) -> str:
        """The form used in messages."""
        return self.version or self.sha256[:8]


class Tree:
    """The versions of one component below one folder."""

    def __init__(self, root: Path, *, architecture: str) -> None:
        """``root`` is the component's folder; it need not exist yet."""
        self.root = root
        self.current = root / "current"
        self._architecture = architecture

    # Reading

    def active(self) -> Version | None:
        """Return the version in use."""
        folder = _io.read_link(str(self.current))
        return self._read(folder) if folder else None

    def has_any(self) -> bool:
        """Whether any version is here, whole or not."""
        return any(
            folder.startswith(_UNFINISHED) or self._read(folder) is not None
            for folder in _io.list_directory(str(self.root))
        )

    def find(self, sha256: str) -> Version | None:
        """Return a version that is here already, in use or kept from before."""
        for folder in _io.list_directory(str(self.root)):
            version = None if folder.startswith(".") or folder == "current" else self._read(folder)
            if version is not None and version.sha256 == sha256:
                return version
        return None

    def link_target(self, link: str) -> str:
        """Return where the link of a program points, in every version."""
        return str(self.current / _OWN / "links" / Path(link).name)

    def owns(self, link: Path) -> bool:
        """Whether a link outside leads into this tree."""
        target = _io.read_link(str(link))
        return target is not None and target.startswith(f"{self.current}/")

    def _read(self, folder: str) -> Version | None:
        text = _io.read_text(str(self.root / folder / _OWN / "tree.json"))
        if text is None:
            return None
        try:
            data = json.loads(text)
            return Version(
                folder=folder,
                sha256=data["sha256"],
                version=data["version"],
                wanted=dict(data["binaries"]),
            )
        except (ValueError, KeyError, TypeError):
            return None

    # Acting

    def add(
        self, archive: BinaryIO, *, sha256: str, version: str, binaries: Mapping[str, str]
    ) -> Version:
        """Unpack an archive completely, or leave no trace of it."""
        if version and not _VERSION.fullmatch(version):
            raise InputError(f"version: expected letters, digits and .+~_-, found '{version}'.")
        self.root.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.sweep()
        new = self.root / f".new-{secrets.token_hex(4)}"
        _io.make_directory(str(new))
        try:
            content = new / "content"
            _io.make_directory(str(content))
            unpack(archive, content, single=next(iter(binaries)))
            content = _without_wrapper(content)
            if (content / _OWN).exists():
                raise ArchiveError(f"The archive contains '{_OWN}', a name that is reserved.")
            found = Version(
                folder=content.name, sha256=sha256, version=version, wanted=dict(binaries)
            )
            self._describe(content, found)
            # One flush for thousands of small files is far cheaper than one for each.
            os.sync()
            folder = self._free_name(version, sha256)
            _io.move(str(content), str(self.root / folder))
        finally:
            _io.remove_tree(str(new))
        return Version(folder=folder, sha256=sha256, version=version, wanted=dict(binaries))

    def name_programs(self, version: Version, binaries: Mapping[str, str]) -> None:
        """Make the links of a version that is here agree with the option."""
        self._describe(
            self.root / version.folder,
            Version(
                folder=version.folder,
                sha256=version.sha256,
                version=version.version,
                wanted=dict(binaries),
            ),
        )

    def use(self, version: Version) -> None:
        """Make a version the one in use."""
        _io.flip_link(version.folder, str(self.current), temporary=str(self.root / ".current"))

    def prune(self, *, keep: set[str]) -> list[str]:
        """Remove versions other than these; folders that are not ours stay."""
        gone = []
        for folder in _io.list_directory(str(self.root)):
            if folder not in keep and folder != "current" and self._read(folder) is not None:
                # Renamed first: a removal that is cut short must not leave half a version.
                doomed = self.root / f".old-{secrets.token_hex(4)}"
                _io.move(str(self.root / folder), str(doomed))
                _io.remove_tree(str(doomed))
                gone.append(folder)
        return gone

    def sweep(self) -> None:
        """Remove what a killed run left behind."""
        for folder in _io.list_directory(str(self.root)):
            if folder.startswith(_UNFINISHED):
                _io.remove_tree(str(self.root / folder))

    def remove(self) -> bool:
        """Remove all versions; the folder too, if nothing of others is in it."""
        if not self.root.is_dir():
            return False
        _io.remove_file(str(self.current))
        self.sweep()
        self.prune(keep=set())
        _io.remove_directory(str(self.root))
        _io.remove_directory(str(self.root.parent))
        return True

    def _describe(self, content: Path, version: Version) -> None:
        """Find the programs and write what we know beside them."""
        programs = find_binaries(content, version.wanted)
        for program in programs.values():
            check_machine(program, architecture=self._architecture)
            program.chmod(0o755)
        links = content / _OWN / "links"
        links.mkdir(mode=0o755, parents=True, exist_ok=True)
        names = {Path(link).name: program for link, program in programs.items()}
        for name, program in names.items():
            target = Path("../..") / program.relative_to(content)
            if _io.read_link(str(links / name)) != str(target):
                _io.make_link(str(target), str(links / name))
        for name in _io.list_directory(str(links)):
            if name not in names:
                _io.remove_file(str(links / name))
        data = {"sha256": version.sha256, "version": version.version, "binaries": version.wanted}
        text = json.dumps(data, indent=2, sort_keys=True) + "\n"
        _io.write_atomic(str(content / _OWN / "tree.json"), text.encode(), mode=0o644)

    def _free_name(self, version: str, sha256: str) -> str:
        """The version's name; another build of the same version gets its digest in the name."""
        name = version if version and version != "current" else sha256[:8]
        return f"{name}-{sha256[:8]}" if (self.root / name).exists() else name


def _without_wrapper(content: Path) -> Path:
    """Return the one folder that a release archive usually has at its top."""
    entries = list(content.iterdir())
    if len(entries) == 1 and entries[0].is_dir() and not entries[0].is_symlink():
        return entries[0]
    return content
