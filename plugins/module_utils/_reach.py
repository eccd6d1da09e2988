# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Whether this host reaches what a run is about to fetch. Only what is needed is asked for."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.koprogo.observability.plugins.module_utils._apt import Apt, explain
from ansible_collections.koprogo.observability.plugins.module_utils._errors import KoprogoError
from ansible_collections.koprogo.observability.plugins.module_utils._fetch import (
    ask,
    fetch,
    is_url,
    shown_url,
)
from ansible_collections.koprogo.observability.plugins.module_utils._packages import parse_wanted
from ansible_collections.koprogo.observability.plugins.module_utils._record import Places, Record
from ansible_collections.koprogo.observability.plugins.module_utils._run import (
    NOT_FOUND,
    TIMED_OUT,
    Runner,
)
from ansible_collections.koprogo.observability.plugins.module_utils._tree import Tree

__all__ = ["Download", "Reach", "Vendor"]

#: How many seconds a server may be silent, and all of them together may take.
_SILENCE = 5
_TOTAL = 30.0
# apt's own downloader: proxies, credentials and certificates are those of apt's configuration.
_HELPER = (
    "/usr/lib/apt/apt-helper",
    "-oAcquire::Retries=0",
    f"-oAcquire::http::Timeout={_SILENCE}",
    f"-oAcquire::https::Timeout={_SILENCE}",
    "download-file",
)
_FAILED = re.compile(r"^E: Failed to fetch (\S+)\s+(.+)$", re.MULTILINE)
_WEB = ("http://", "https://")


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file that a component is installed from: an archive, or a package file.

    One that isn't ``judged`` here is compared with its checksum by another host of the run that lacks it;
    None says that this is yet to be decided.
    """

    component: str
    option: str
    url: str
    sha256: str
    judged: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """A vendor's repository that packages of a component come from, the first of which may be pinned.

    Without an address it is another suite of the distribution's own mirror, such as its backports.
    """

    option: str
    name: str
    uri: str
    suites: str
    key: str
    packages: tuple[str, ...]
    version: str


class Reach:
    """Asks for what is missing on this host; each answer is one sentence for each thing that can't be had."""

    def __init__(self, runner: Runner, apt: Apt, places: Places, *, temporary: str) -> None:
        """Answers are kept in the folder ``temporary`` while they come."""
        self._runner = runner
        self._apt = apt
        self._places = places
        self._temporary = temporary

    def missing(self, downloads: Iterable[Download]) -> list[Download]:
        """Those archives and package files that this host has not installed. No server is asked."""
        return [one for one in downloads if not self._installed(one)]

    def download_errors(self, missing: Iterable[Download]) -> list[str]:
        """Archives and package files that their server does not give, or that are not the announced ones."""
        decided = [one for one in missing if one.judged is not None]
        return [error for one in decided if (error := self._download_error(one))]

    @staticmethod
    def _download_error(one: Download) -> str:
        found = ""
        if not one.judged:
            reason = ask(one.url, timeout=_SILENCE)
        else:
            # Not kept: a dry run must not fill a disk, and who installs it looks at what comes then.
            try:
                with Path(os.devnull).open("w+b") as nowhere:
                    found, reason = fetch(one.url, nowhere), ""
            except KoprogoError as error:
                reason = error.evidence.get("reason", "")
                if not reason:
                    return f"{one.option}: {error}".rstrip(".")
        shown = shown_url(one.url)
        if reason:
            return (
                f"{one.option}: expected a file that this host can fetch, found {shown}: {reason}; "
                "give the address of a mirror that it reaches, or a path on the control node"
            )
        if not one.judged or found == one.sha256:
            return ""
        return f"{one.option}_sha256: expected the checksum of {shown}, which is {found}, found {one.sha256}"

    def _installed(self, one: Download) -> bool:
        if Tree(self._places.trees / one.component, architecture="").find(one.sha256):
            return True
        known = Record.load(one.component, self._places).package_file
        if known.get("sha256") != one.sha256:
            return False
        package = known["package"]
        return self._apt.installed([package]).get(package) == known["version"]

    def vendor_errors(self, vendors: Iterable[Vendor]) -> list[str]:
        """Vendors' repositories that do not answer, and keys of such that are not here yet."""
        folders = {one: self._folder(one) for one in vendors if not self._provided(one)}
        keys = {one.key for one in folders if is_url(one.key) and not self._file(one).exists()}
        silent = self._silent({url for url in folders.values() if url.startswith(_WEB)})
        silent |= {key: reason for key in keys if (reason := ask(key, timeout=_SILENCE))}
        return [
            f"{option}: expected an address that this host reaches, found {shown_url(url)}: {silent[url]}; "
            "give that of a mirror, a package file or an archive"
            for one, folder in folders.items()
            for option, url in ((one.option, folder), (f"{one.option}_key", one.key))
            if url in silent
        ]

    def _provided(self, one: Vendor) -> bool:
        wanted = parse_wanted(one.packages, version=one.version)
        installed = self._apt.installed([item.package for item in wanted])
        return all(item.met(installed) for item in wanted)

    def _folder(self, one: Vendor) -> str:
        """Where its Release file lies; empty where that is unknown."""
        if one.uri:
            return f"{one.uri.rstrip('/')}/dists/{one.suites}/"
        sources = self._apt.sources()
        release = one.suites.partition("-")[0]
        known = [folder for folder in sources if folder.endswith(f"/dists/{one.suites}/")]
        main = [repo for folder, repo in sources.items() if folder.endswith(f"/dists/{release}/")]
        return next(iter([*known, *(f"{repo}dists/{one.suites}/" for repo in main)]), "")

    def _file(self, one: Vendor) -> Path:
        return self._places.on_host(f"/etc/apt/sources.list.d/koprogo-{one.name}.sources")

    def mirror_errors(self, packages: Sequence[str]) -> list[str]:
        """Mirrors of the distribution that missing packages are to come from and that do not answer."""
        wanted = parse_wanted(packages, version="")
        installed = self._apt.installed([item.package for item in wanted])
        missing = [
            f"{item.package}={item.version}*" if item.version else item.package
            for item in sorted(wanted, key=str)
            if not item.met(installed)
        ]
        if not missing:
            return []
        sources = self._apt.sources()
        silent = self._silent({base for base in sources if base.startswith(_WEB)})
        if not silent:
            return []
        # Another source may have them, or apt's cache.
        uris = self._apt.needed(missing)
        if uris is None:
            needed = [*silent] if len(silent) == len(sources) else []
        else:
            needed = [one for one in silent if any(uri.startswith(sources[one]) for uri in uris)]
        return [
            f"packages: expected a mirror that this host reaches, found {shown_url(mirror)}: {reason}; "
            "give it another one, or set <role>_install to archive or none"
            for mirror, reason in {sources[one]: silent[one] for one in needed}.items()
        ]

    def _silent(self, folders: Iterable[str]) -> dict[str, str]:
        """Those folders of repositories that have neither InRelease nor Release, and why."""
        silent = self._missing(sorted(folders), "InRelease")
        old = [folder for folder, reason in silent.items() if reason.startswith("404")]
        still = self._missing(old, "Release")
        return {k: reason for k, reason in silent.items() if k not in old or k in still}

    def _missing(self, folders: Sequence[str], name: str) -> dict[str, str]:
        if not folders:
            return {}
        with tempfile.TemporaryDirectory(dir=self._temporary) as into:
            targets = {f"{folder}{name}": Path(into, str(n)) for n, folder in enumerate(folders)}
            pairs = [part for url, path in targets.items() for part in (url, str(path))]
            result = self._runner.run([*_HELPER, *pairs], timeout=_TOTAL)
            failed = [folder for folder in folders if not targets[f"{folder}{name}"].exists()]
        if result.rc == NOT_FOUND:
            return {}
        reasons = dict(_FAILED.findall(result.output))
        otherwise = (
            f"no answer within {_TOTAL:g} s" if result.rc == TIMED_OUT else explain(result.output)
        )
        return {folder: reasons.get(f"{folder}{name}", otherwise).strip() for folder in failed}
