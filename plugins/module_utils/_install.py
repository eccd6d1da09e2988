# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Bring a component's programs to a host by whatever method, and take them away again."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ansible_collections.koprogo.observability.plugins.module_utils import _repository
from ansible_collections.koprogo.observability.plugins.module_utils._apt import Apt
from ansible_collections.koprogo.observability.plugins.module_utils._archive import (
    host_architecture,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._fetch import (
    is_url,
    parse_sha256,
    pick,
    shown_url,
)
from ansible_collections.koprogo.observability.plugins.module_utils._layout import Layout
from ansible_collections.koprogo.observability.plugins.module_utils._outcome import Outcome
from ansible_collections.koprogo.observability.plugins.module_utils._packages import (
    PackageSet,
    Wanted,
    parse_wanted,
)
from ansible_collections.koprogo.observability.plugins.module_utils._record import Places, Record
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._source import (
    NeedsSource,
    obtained,
)
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import Systemd
from ansible_collections.koprogo.observability.plugins.module_utils._tree import Tree

__all__ = ["Installer", "NeedsSource", "Request"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_UNIT = re.compile(r"[A-Za-z0-9@:_.\\-]+\.(service|socket|timer|target|path|mount)")


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options of the task, see the module's documentation."""

    name: str
    method: str = "package"
    packages: Sequence[str] = ()
    requires: Sequence[str] = ()
    repository: Mapping[str, Any] | None = None
    user_first: bool = False
    version: str = ""
    package_file: str | Mapping[str, str] = ""
    package_file_sha256: str | Mapping[str, str] = ""
    source: str | Mapping[str, str] = ""
    sha256: str | Mapping[str, str] = ""
    binaries: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    group: str = ""
    directories: Sequence[str] = ()
    unit_name: str = ""
    unit_content: str = ""
    commands: Sequence[str] = ()
    staged_file: str = ""
    cache_valid_time: float = 86400.0
    download_timeout: float = 900.0


class Installer:
    """Provides or withdraws one component; in check mode it only says what it would do."""

    def __init__(
        self,
        request: Request,
        *,
        runner: Runner,
        apt: Apt,
        places: Places,
        check: bool,
        architecture: str = "",
    ) -> None:
        """Read the record of the component."""
        if not _NAME.fullmatch(request.name):
            raise InputError(
                f"name: expected lower-case letters, digits and -_., found '{request.name}'."
            )
        self._request = request
        self._runner = runner
        self._places = places
        self._check = check
        self._architecture = architecture or host_architecture()
        self._record = Record.load(request.name, places)
        self._outcome = Outcome()
        self._tree = Tree(places.trees / request.name, architecture=self._architecture)
        self._packages = PackageSet(
            apt,
            self._record,
            places,
            cache_valid_time=request.cache_valid_time,
            holding=lambda: self._layout.held_back(request.unit_name),
        )
        self._apt = apt
        systemd = Systemd(runner)
        self._layout = Layout(
            self._record, places, self._tree, runner=runner, systemd=systemd, check=check
        )

    def present(self) -> dict[str, Any]:
        """Provide the component by the wanted method."""
        self._layout.let_go(self._request.unit_name)
        {"package": self._by_package, "archive": self._by_archive, "none": self._by_nobody}[
            self._request.method
        ]()
        return self._result()

    def absent(self) -> dict[str, Any]:
        """Remove what is recorded as ours, and nothing else."""
        # A killed run may have unpacked an archive and come no further.
        if self._record.exists or self._tree.has_any():
            self._layout.withdraw(self._outcome)
            self._packages.withdraw(self._outcome, check=self._check)
            _repository.withdraw(self._record, self._places, self._outcome, check=self._check)
            self._layout.list_kept(self._outcome)
            if not self._check:
                self._record.forget(self._places)
        return self._result()

    def _result(self) -> dict[str, Any]:
        facts = {
            "method": self._request.method,
            "version": self._request.version,
            "architecture": self._architecture,
        }
        return {**facts, **self._outcome.result(header=f"component {self._request.name}")}

    # Method package

    def _by_package(self) -> None:
        request = self._request
        wanted = self._wanted()
        source = pick(
            request.package_file,
            architecture=self._architecture,
            option=self._option("package_file"),
        )
        if not wanted and not source:
            raise InputError(
                f"{request.name}: expected packages or package_file for method package, found neither."
            )
        if request.user_first:
            self._layout.own_user(request.user, request.group, self._outcome)
        if not source:
            repository = _repository.Repository.parse(request.repository)
            if repository is not None:
                _repository.RepositoryFile(repository, self._record, self._places).provide(
                    self._outcome, check=self._check
                )
            self._packages.provide(wanted, self._outcome, package_file=None, check=self._check)
        else:
            digest = parse_sha256(
                pick(
                    request.package_file_sha256,
                    architecture=self._architecture,
                    option=self._option("package_file_sha256"),
                ),
                option=self._option("package_file_sha256"),
            )
            self._by_package_file(source, digest)
        self._record.method = "package"
        # What an archive put in front of the package would hide it.
        self._layout.withdraw(self._outcome)
        self._save()

    def _wanted(self, version: str | None = None) -> list[Wanted]:
        """The component's packages, then what it needs beside them."""
        request = self._request
        own = request.packages if request.method == "package" else ()
        pin = (request.version if version is None else version) if own else ""
        return parse_wanted([*own, *request.requires], version=pin)

    def _by_package_file(self, source: str, digest: str) -> None:
        known = self._record.package_file
        installed = self._apt.installed([known["package"]]) if known.get("package") else {}
        others = [
            item
            for item in self._wanted(version="")
            if item.package != known.get("package", self._package_in_name(source))
        ]
        if known.get("sha256") == digest and installed.get(known["package"]) == known["version"]:
            self._packages.provide(others, self._outcome, package_file=None, check=self._check)
            self._outcome.facts["packages"] |= installed
            return
        if self._check:
            self._packages.provide(others, self._outcome, package_file=None, check=True)
            self._outcome.change(
                f"package file {Path(shown_url(source)).name}",
                "not installed",
                "would be installed",
            )
            self._ask_for(source, digest)
            return
        with self._obtained(source, digest, suffix=".deb") as (_file, path):
            package, version = self._apt.file_fields(path)
            others = [item for item in others if item.package != package]
            have = self._apt.installed([package]).get(package) == version
            self._packages.provide(
                others, self._outcome, package_file=None if have else path, check=False
            )
            self._outcome.facts["packages"][package] = version
            self._record.requested = sorted({*self._record.requested, package})
            self._record.package_file = {"sha256": digest, "package": package, "version": version}
            self._record.save(self._places)

    @staticmethod
    def _package_in_name(source: str) -> str:
        """The name by the convention name_version_architecture.deb; the file itself decides later."""
        return Path(shown_url(source)).name.partition("_")[0]

    # Method archive

    def _by_archive(self) -> None:
        request = self._request
        source = pick(
            request.source, architecture=self._architecture, option=self._option("archive")
        )
        if not source:
            raise InputError(
                f"{self._option('archive')}: expected a URL or a path for method archive, found nothing."
            )
        digest = parse_sha256(
            pick(
                request.sha256,
                architecture=self._architecture,
                option=self._option("archive_sha256"),
            ),
            option=self._option("archive_sha256"),
        )
        self._check_archive_options()
        self._provide_required()
        self._tree_of(source, digest)
        self._layout.own_user(request.user, request.group, self._outcome)
        self._layout.own_directories(
            request.directories, request.user, request.group, self._outcome
        )
        self._layout.link(request.binaries, self._outcome)
        if request.unit_name and request.unit_content:
            self._layout.write_unit(request.unit_name, request.unit_content, self._outcome)
        self._record.method = "archive"
        self._save()

    def _check_archive_options(self) -> None:
        request = self._request
        if not request.binaries:
            raise InputError(
                f"{request.name}: expected archive.binaries to name at least one program."
            )
        links = list(request.binaries.values())
        if len({Path(link).name for link in links}) != len(links):
            raise InputError("archive.binaries: expected links with different names.")
        for path in (*links, *request.directories):
            if not path.startswith("/") or ".." in Path(path).parts:
                raise InputError(f"{request.name}: expected an absolute path, found '{path}'.")
        if request.unit_name and not _UNIT.fullmatch(request.unit_name):
            raise InputError(
                f"unit.name: expected a name such as x.service, found '{request.unit_name}'."
            )

    def _tree_of(self, source: str, digest: str) -> None:
        request = self._request
        active = self._tree.active()
        wanted = dict(request.binaries)
        self._outcome.facts["archive"] = {"sha256": digest, "source": shown_url(source), "tree": ""}
        if active is not None and active.sha256 == digest and active.wanted == wanted:
            self._outcome.facts["archive"]["tree"] = str(self._tree.root / active.folder)
            return
        before = f"{active.shown} ({active.sha256[:8]})" if active else "absent"
        after = f"{request.version or digest[:8]} ({digest[:8]})"
        found = self._tree.find(digest)
        self._outcome.change(f"archive in {self._tree.root}", before, after)
        if self._check:
            if found is None:
                self._ask_for(source, digest)
            return
        if found is None:
            with self._obtained(source, digest, suffix="") as (file, _path):
                found = self._tree.add(
                    file, sha256=digest, version=request.version, binaries=wanted
                )
        elif found.wanted != wanted:
            self._tree.name_programs(found, wanted)
        previous = self._record.archive.get("previous", "")
        if active is not None and active.folder != found.folder:
            previous = active.folder
        self._record.archive = {"sha256": digest, "version": request.version, "tree": found.folder}
        self._record.archive["previous"] = previous if previous != found.folder else ""
        self._record.save(self._places)
        self._tree.use(found)
        for folder in self._tree.prune(keep={found.folder, self._record.archive["previous"]}):
            self._outcome.notes.append(f"The old version {folder} was removed.")
        self._outcome.facts["archive"]["tree"] = str(self._tree.root / found.folder)

    # Sources

    def _ask_for(self, source: str, digest: str) -> None:
        if is_url(source):
            self._outcome.notes.append(f"{shown_url(source)} is not downloaded in check mode.")
        else:
            self._outcome.facts["needs_source"] = {"path": source, "sha256": digest}

    def _obtained(
        self, source: str, digest: str, *, suffix: str
    ) -> contextlib.AbstractContextManager[tuple[BinaryIO, Path]]:
        return obtained(
            source,
            digest,
            staged_file=self._request.staged_file,
            folder=self._places.state,
            suffix=suffix,
            timeout=self._request.download_timeout,
        )

    def _option(self, suffix: str) -> str:
        """The name of the role's variable, which is what the user sets."""
        return f"{self._request.name.replace('-', '_')}_{suffix}"

    def _provide_required(self) -> None:
        if self._request.requires:
            self._packages.provide(
                self._wanted(), self._outcome, package_file=None, check=self._check
            )

    # Method none

    def _by_nobody(self) -> None:
        request = self._request
        paths = {command: self._runner.which(command) for command in request.commands}
        missing = [command for command, path in paths.items() if path is None]
        if request.unit_name and not self._layout.unit_exists(request.unit_name):
            missing.append(request.unit_name)
        if missing:
            option = self._option("install")
            raise InputError(
                f"{request.name}: {option} is none, so this host must have {', '.join(missing)}, "
                f"but has not. Install it by other means, or set {option} to package or archive.",
                missing=missing,
            )
        self._outcome.facts["commands"] = paths
        if request.requires:
            self._provide_required()
            self._save()

    def _save(self) -> None:
        if not self._check:
            self._record.save(self._places)
