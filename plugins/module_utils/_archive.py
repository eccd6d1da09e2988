# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Unpack a release archive safely, and find the programs in it.

Nothing in an archive may reach outside the folder it is unpacked into: no absolute or
``..`` names, no devices, no links out, no setuid bits, no foreign owners.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    NoSpaceError,
)

__all__ = ["ArchiveError", "check_machine", "find_binaries", "host_architecture", "unpack"]

# The kernel's name of the machine -> Debian's name of the architecture.
_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "armhf",
    "armv6l": "armel",
    "i686": "i386",
    "i386": "i386",
    "ppc64le": "ppc64el",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
# e_machine of the ELF header -> Debian's name.
_ELF_MACHINES = {
    0x03: "i386",
    0x16: "s390x",
    0x15: "ppc64el",
    0x28: "armhf",
    0x3E: "amd64",
    0xB7: "arm64",
    0xF3: "riscv64",
}
_ELF_MAGIC = b"\x7fELF"


class ArchiveError(InputError):
    """An archive cannot be used: damaged, unsafe, or without the wanted program."""


@dataclass(frozen=True, kw_only=True)
class _Member:
    """One entry of an archive, whatever its format."""

    name: str
    kind: str  # file | directory | symlink | hardlink | other
    executable: bool = False
    target: str = ""


def host_architecture(machine: str = "") -> str:
    """Return Debian's name of this host's architecture (or of the given machine's)."""
    machine = machine or os.uname().machine
    return _ARCHITECTURES.get(machine, machine)


def unpack(file: BinaryIO, into: Path, *, single: str = "") -> None:
    """Unpack a tar (gz, xz, bz2 or plain), a zip, or a bare program into a new folder.

    A bare ELF program is stored under the name ``single``. The file system of ``into``
    must have room for it all; on any error the caller removes the folder.
    """
    file.seek(0)
    magic = file.read(4)
    file.seek(0)
    try:
        if magic == _ELF_MAGIC:
            _write(into / (single or "program"), file, executable=True)
        elif zipfile.is_zipfile(file):
            file.seek(0)
            _unpack_zip(file, into)
        else:
            file.seek(0)
            _unpack_tar(file, into)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        RuntimeError,
    ) as exc:
        raise ArchiveError(
            f"The archive cannot be unpacked: expected tar.gz, tar.xz, tar.bz2 or zip, found: {exc}."
        ) from exc
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpaceError(f"{into}: no space left to unpack the archive.") from exc
        if exc.errno is None:  # gzip and bz2 report damage as a bare OSError
            raise ArchiveError(f"The archive is damaged: {exc}.") from exc
        raise


def _unpack_tar(file: BinaryIO, into: Path) -> None:
    with tarfile.open(fileobj=file, mode="r:*") as archive:
        links: list[_Member] = []
        for info in archive:
            member = _Member(
                name=info.name,
                kind=_tar_kind(info),
                executable=bool(info.mode & 0o111),
                target=info.linkname,
            )
            content = archive.extractfile(info) if member.kind == "file" else None
            _place(member, into, content, links)
        _make_links(links, into)


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isreg():
        return "file"
    if info.isdir():
        return "directory"
    if info.issym():
        return "symlink"
    return "hardlink" if info.islnk() else "other"


def _unpack_zip(file: BinaryIO, into: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        links: list[_Member] = []
        for info in archive.infolist():
            mode = info.external_attr >> 16
            kind, target = "file", ""
            if info.is_dir():
                kind = "directory"
            elif stat.S_ISLNK(mode):
                kind, target = "symlink", archive.read(info).decode("utf-8", "surrogateescape")
            elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                kind = "other"
            member = _Member(
                name=info.filename, kind=kind, executable=bool(mode & 0o111), target=target
            )
            with archive.open(info) if kind == "file" else contextlib.nullcontext() as content:
                _place(member, into, content, links)
        _make_links(links, into)


def _place(member: _Member, into: Path, content: IO[bytes] | None, links: list[_Member]) -> None:
    """Write one entry; symbolic links wait, so that nothing can be written through one."""
    path = into / _safe(member.name)
    if path == into:
        return
    if member.kind == "symlink":
        links.append(member)
    elif member.kind == "directory":
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif member.kind == "hardlink":
        source = into / _safe(member.target)
        if not source.is_file():
            raise ArchiveError(
                f"The archive is unsafe: '{member.name}' links to '{member.target}', not in it."
            )
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.hardlink_to(source)
    elif content is not None and member.kind == "file":
        _write(path, content, executable=member.executable)
    else:
        raise ArchiveError(
            f"The archive is unsafe: '{member.name}' is neither file, folder nor link."
        )


def _safe(name: str) -> PurePosixPath:
    """Return the name as a path below the root, or refuse it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise ArchiveError(f"The archive is unsafe: '{name}' points outside of it.")
    return path


def _write(path: Path, content: IO[bytes], *, executable: bool) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    # Owner root and a mode of ours: never what the archive says.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        shutil.copyfileobj(content, out, 1 << 20)
        os.fchmod(out.fileno(), 0o755 if executable else 0o644)


def _make_links(links: list[_Member], into: Path) -> None:
    """Create the symbolic links, none through another one, then prove that each one stays inside."""
    made: list[Path] = []
    for link in links:
        path = into / _safe(link.name)
        if PurePosixPath(link.target).is_absolute():
            raise ArchiveError(
                f"The archive is unsafe: '{link.name}' links to '{link.target}', outside of it."
            )
        if any(folder.is_symlink() for folder in path.parents if folder.is_relative_to(into)):
            raise ArchiveError(
                f"The archive is unsafe: '{link.name}' is a link below another link."
            )
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
            path.symlink_to(link.target)
            made.append(path)
    # Not resolve(), which fails on a link to itself: that leads nowhere.
    root = os.path.realpath(into)
    for path in made:
        # Links can be chained, so only the file system's own answer counts.
        if not Path(os.path.realpath(path)).is_relative_to(root):
            raise ArchiveError(
                f"The archive is unsafe: the link '{path.relative_to(into)}' leads outside of it."
            )


def find_binaries(root: Path, wanted: Mapping[str, str]) -> dict[str, Path]:
    """Return link -> program for each wanted name, wherever in the folder it lies.

    A name may contain folders (``bin/grafana``) or wildcards (``loki-linux-*``). Of several
    matches an executable one wins, then the one nearest to the top; a tie is an error.
    """
    files = [(path, path.relative_to(root).as_posix()) for path in _files(root)]
    found: dict[str, Path] = {}
    for name, link in wanted.items():
        matches = [path for path, relative in files if _matches(relative, name)]
        if not matches:
            offered = (
                ", ".join(sorted(rel for path, rel in files if os.access(path, os.X_OK))[:8])
                or "no program"
            )
            raise ArchiveError(
                f"The archive has no file '{name}' (option archive.binaries); it has {offered}."
            )
        ranked = sorted(matches, key=_rank)
        if len(ranked) > 1 and _rank(ranked[0])[:2] == _rank(ranked[1])[:2]:
            names = " and ".join(path.relative_to(root).as_posix() for path in ranked[:2])
            raise ArchiveError(
                f"The archive has several files '{name}': {names}. Name its folder too."
            )
        found[link] = ranked[0]
    return found


def _files(root: Path) -> Iterator[Path]:
    for folder, _folders, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_file():
                yield path


def _matches(relative: str, name: str) -> bool:
    return fnmatch.fnmatchcase("/" + relative, "*/" + name)


def _rank(path: Path) -> tuple[bool, int, str]:
    return (not os.access(path, os.X_OK), len(path.parts), str(path))


def check_machine(program: Path, *, architecture: str) -> None:
    """Refuse a program that was built for another architecture; scripts are fine."""
    with program.open("rb") as file:
        header = file.read(20)
    if len(header) < 20 or not header.startswith(_ELF_MAGIC):
        return
    order = "<" if header[5] == 1 else ">"
    built_for = _ELF_MACHINES.get(struct.unpack(f"{order}H", header[18:20])[0])
    if (
        built_for is not None
        and built_for != architecture
        and {built_for, architecture} != {"armhf", "armel"}
    ):
        raise ArchiveError(
            f"The program {program.name} was built for {built_for}, this host is {architecture}. "
            "Give the archive of this architecture (archive.source may be a mapping by architecture)."
        )
