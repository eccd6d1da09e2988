# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host in a folder: archives, a package manager that keeps its word, a runner that listens."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._apt import Apt, Plan, Step
from ansible_collections.koprogo.observability.plugins.module_utils._run import Result, Runner

MACHINES = {"amd64": 0x3E, "arm64": 0xB7}


def program(architecture: str = "amd64", text: bytes = b"") -> bytes:
    """The beginning of an ELF program."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, MACHINES[architecture]) + text


def tar(files: Mapping[str, bytes | tarfile.TarInfo], *, compression: str = "gz") -> bytes:
    """A tar archive; a name that ends with / is a folder, a TarInfo is taken as it is."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name.rstrip("/"))
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.size = len(content)
            info.mode = 0o755 if content.startswith((b"\x7fELF", b"#!")) else 0o644
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """An entry that is no file: link, device …"""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def sha256(data: bytes) -> str:
    """The checksum as users write it."""
    return hashlib.sha256(data).hexdigest()


class ListeningRunner(Runner):
    """Runs nothing: notes each command and answers what the test wants."""

    def __init__(
        self, answer: Callable[[list[str]], tuple[int, str]] = lambda _argv: (0, "")
    ) -> None:
        super().__init__()
        self.calls: list[list[str]] = []
        self._answer = answer

    def which(self, command: str) -> str | None:
        return None if command.startswith("missing") else f"/usr/bin/{command}"

    def run(self, argv: Sequence[str], **_keywords: Any) -> Result:
        self.calls.append(list(argv))
        rc, text = self._answer(list(argv))
        return Result(argv=list(argv), rc=rc, stdout=text, stderr="", seconds=0.0)


class Repository(Apt):
    """apt of a host on which these packages are installed and those are to be had."""

    def __init__(self, *, have: dict[str, str], offered: dict[str, list[str]]) -> None:
        super().__init__(ListeningRunner())
        self.have = dict(have)
        self.offered = offered
        self.dependencies: dict[str, list[str]] = {}
        self.lists = True
        self.reachable = True
        self.fresh = True
        self.log: list[str] = []
        self.file = ("", "")

    def installed(self, names: Sequence[str]) -> dict[str, str]:
        return {name: self.have[name] for name in names if name in self.have}

    def everything(self) -> dict[str, str]:
        return dict(self.have)

    def versions(self, package: str) -> list[str]:
        return self.offered.get(package, []) if self.lists else []

    def have_lists(self) -> bool:
        return self.lists

    def stale(self, *, valid: float) -> bool:
        del valid
        return not (self.lists and self.fresh)

    def file_fields(self, package_file: Path) -> tuple[str, str]:
        assert package_file.is_file()
        return self.file

    def plan(self, *arguments: str) -> Plan:
        verb = next(word for word in arguments if not word.startswith("-"))
        names = [word for word in arguments if word != verb and not word.startswith("-")]
        if verb == "install":
            return Plan(
                steps=[
                    Step(package=name, before=self.have.get(name, ""), after=version)
                    for name, version in self._resolve(names).items()
                ]
            )
        if verb == "autoremove":
            wanted = {item for items in self.dependencies.values() for item in items}
            needed = {
                d for name, deps in self.dependencies.items() if name in self.have for d in deps
            }
            gone = sorted((wanted - needed) & self.have.keys())
            return Plan(
                steps=[Step(package=name, before=self.have[name], after="") for name in gone]
            )
        users = [
            name
            for name, deps in self.dependencies.items()
            if {*deps} & {*names} and name in self.have
        ]
        return Plan(
            steps=[
                Step(package=name, before=self.have[name], after="")
                for name in [*names, *users]
                if name in self.have
            ]
        )

    def update(self) -> str:
        self.log.append("update")
        if not self.reachable:
            return "the mirror deb.example.org cannot be reached"
        self.lists = self.fresh = True
        return ""

    def install(self, specifications: Sequence[str]) -> Result:
        self.log.append(f"install {' '.join(specifications)}")
        if not self.reachable:
            text = "E: Failed to fetch http://deb.example.org/x.deb  Could not connect"
            return Result(argv=[], rc=100, stdout="", stderr=text, seconds=0.0)
        self.have |= self._resolve(specifications)
        return Result(argv=[], rc=0, stdout="", stderr="", seconds=0.0)

    def remove(self, packages: Sequence[str]) -> None:
        self.log.append(f"remove {' '.join(packages)}")
        for package in packages:
            del self.have[package]

    def _resolve(self, specifications: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for item in specifications:
            name, _equals, version = item.partition("=")
            if name.startswith("/"):
                name, version = self.file
            found[name] = version or self.offered[name][0]
            for dependency in self.dependencies.get(name, []):
                if dependency not in self.have:
                    found[dependency] = "1"
        return found
