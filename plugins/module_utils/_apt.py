# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Install and remove Debian packages: only what was asked, nothing started, no surprise upgrade."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._errors import KoprogoError
from ansible_collections.koprogo.observability.plugins.module_utils._run import Result, Runner

__all__ = ["Apt", "AptError", "Plan", "Step", "explain", "parse_simulation", "version_matches"]

_NO_START = "KOPROGO_NO_START"
_POLICY_MARK = "# koprogo: temporary"
_STEP = re.compile(r"^(Inst|Remv) ([^\s:]+)(?::\S+)?(?: \[([^\]]*)\])?(?: \(([^ )]+))?")
_URI = re.compile(r"^'([^']+)'", re.MULTILINE)
_FIELD = re.compile(r"(Package|Status|Version): ")
_ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "APT_LISTBUGS_FRONTEND": "none",
    "NEEDRESTART_SUSPEND": "1",
    "UCF_FORCE_CONFOLD": "1",
}
# An unreachable mirror must be reported within a minute, not after minutes of retries.
_NETWORK = (
    "-oAcquire::Retries=1",
    "-oAcquire::http::Timeout=15",
    "-oAcquire::https::Timeout=15",
    "-oAcquire::ForceHash=sha256",
)


class AptError(KoprogoError):
    """A package transaction is impossible or failed."""


@dataclass(frozen=True, kw_only=True, order=True)
class Step:
    """One package of a transaction: versions before and after, empty where it is absent."""

    package: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What apt would do; ``known`` is false where the lists do not allow an answer yet."""

    steps: list[Step]
    known: bool = True
    problem: str = ""


def version_matches(installed: str, wanted: str) -> bool:
    """Whether a package version is the wanted one, or a refinement of it.

    ``2.42.0`` is refined by ``2.42.0+ds-5+b5``, but ``2.4`` is not by ``2.42.0``.
    """
    if not wanted:
        return True
    for candidate in (installed, installed.partition(":")[2]):
        if candidate == wanted:
            return True
        if candidate.startswith(wanted) and not (
            wanted[-1].isalnum() and candidate[len(wanted)].isalnum()
        ):
            return True
    return False


def parse_simulation(text: str) -> list[Step]:
    """Read the lines of ``apt-get --simulate``."""
    steps = []
    for line in text.splitlines():
        match = _STEP.match(line)
        if match:
            verb, package, before, after = match.groups()
            steps.append(
                Step(
                    package=package,
                    before=before or "",
                    after="" if verb == "Remv" else after or "",
                )
            )
    return sorted(steps)


# What apt prints -> what a person needs to know. The first that matches wins.
_CAUSES: tuple[tuple[str, str], ...] = (
    (r"Could not get lock (\S+)", "another package manager holds {0}; wait for it to end"),
    (r"No space left on device|don't have enough free space", "the file system is full"),
    (r"dpkg was interrupted", "an earlier package run was interrupted; run dpkg --configure -a"),
    (
        r"Held packages were changed|held broken packages",
        "a held package or an unmet dependency forbids it",
    ),
    (r"Packages need to be removed but remove is disabled", "it would remove other packages"),
    (r"NO_PUBKEY (\w+)", "the repository is signed with the unknown key {0}"),
    (
        r"The repository '([^']+)' (?:is not signed|does not have a Release file)",
        "{0} is no signed repository",
    ),
    (
        r"Release file for (\S+) is (?:expired|not valid yet)",
        "the Release file of {0} is out of date (clock?)",
    ),
    (r"[Cc]ertificate verification failed", "the mirror's certificate is not trusted"),
    (
        r"(?:Could not resolve|Temporary failure resolving|Could not connect to|"
        r"Cannot initiate the connection to|"
        r"Unable to connect to|Connection timed out \[IP: |Failed to fetch) '?([^\s'\]]+)",
        "the mirror {0} cannot be reached",
    ),
    (r"Version '([^']+)' for '([^']+)' was not found", "version {0} of {1} is in no repository"),
    (
        r"Unable to locate package (\S+)|Package '?(\S+?)'? has no installation candidate",
        "no repository has the package {0}",
    ),
    (r"unmet dependencies", "it has unmet dependencies"),
)


def explain(output: str) -> str:
    """Return apt's reason as one phrase."""
    for pattern, phrase in _CAUSES:
        match = re.search(pattern, output)
        if match:
            return phrase.format(*(group for group in match.groups() if group))
    for line in output.splitlines():
        if line.startswith("E: "):
            return line[3:].strip().rstrip(".")
    return output.strip().splitlines()[-1] if output.strip() else "apt-get printed nothing"


class Apt:
    """apt and dpkg of this host. Times are in seconds."""

    def __init__(
        self,
        runner: Runner,
        *,
        lock_timeout: float = 120.0,
        default_release: str = "",
        recommends: bool = False,
        root: Path = Path("/"),
    ) -> None:
        """Wait ``lock_timeout`` for another package manager; ``root`` exists for tests."""
        self._runner = runner
        self._lock_timeout = lock_timeout
        self._policy = root / "usr/sbin/policy-rc.d"
        self._lock = root / "run/koprogo-install.lock"
        self._lists = root / "var/lib/apt/lists"
        self._sources = root / "etc/apt"
        self._status = root / "var/lib/dpkg/status"
        self._stamps = (
            root / "var/lib/koprogo/install/.apt-updated",
            root / "var/lib/apt/periodic/update-success-stamp",
        )
        self._options = [
            "-q",
            "-y",
            f"-oDPkg::Lock::Timeout={int(lock_timeout)}",
            "-oDpkg::Options::=--force-confdef",
            "-oDpkg::Options::=--force-confold",
            "-oDpkg::Use-Pty=0",
            f"-oAPT::Install-Recommends={'true' if recommends else 'false'}",
            *_NETWORK,
        ]
        if default_release:
            self._options.append(f"--target-release={default_release}")

    # Reading

    def installed(self, names: Sequence[str]) -> dict[str, str]:
        """Return the versions of those of the packages that are completely installed."""
        if not names:
            return {}
        result = self._runner.run(
            ["dpkg-query", "-W", "-f", "${db:Status-Status}\t${Package}\t${Version}\n", *names],
            timeout=30,
        )
        found = {}
        for line in result.stdout.splitlines():
            status, package, version = [*line.split("\t"), "", ""][:3]
            if status == "installed":
                found[package] = version
        return found

    def everything(self) -> dict[str, str]:
        """Return the versions of all completely installed packages."""
        # The file itself: a query's output would be cut on a host with thousands of packages.
        found = {}
        for stanza in (_io.read_text(str(self._status)) or "").split("\n\n"):
            values = dict(line.split(": ", 1) for line in stanza.splitlines() if _FIELD.match(line))
            if values.get("Status", "").endswith(" ok installed"):
                found[values.get("Package", "")] = values.get("Version", "")
        return found

    def versions(self, package: str) -> list[str]:
        """Return the versions that the repositories offer, the highest first."""
        result = self._runner.run(["apt-cache", "madison", "--", package], timeout=60)
        rows = [line.split("|") for line in result.stdout.splitlines()]
        return list(dict.fromkeys(row[1].strip() for row in rows if len(row) > 1))

    def have_lists(self) -> bool:
        """Whether any package list was ever downloaded."""
        return any(self._lists.glob("*_Packages*")) or any(self._lists.glob("*Release"))

    def stale(self, *, valid: float) -> bool:
        """Whether the lists are missing, older than ``valid``, or older than a source."""
        if not self.have_lists():
            return True
        times = [stamp.stat().st_mtime for stamp in (self._lists, *self._stamps) if stamp.exists()]
        updated = max(times, default=0.0)
        sources = [self._sources / "sources.list", *self._sources.glob("sources.list.d/*")]
        changed = max((path.stat().st_mtime for path in sources if path.exists()), default=0.0)
        return time.time() - updated > valid or changed > updated

    def sources(self) -> dict[str, str]:
        """Return the folder of each source's Release file -> the one that its packages lie below."""
        found = {}
        for uri in _URI.findall(self._get("--print-uris", "update", timeout=60).stdout):
            folder, name = uri[: uri.rfind("/") + 1], uri.rpartition("/")[2]
            if name == "InRelease":
                mirror, separator, _suite = folder.partition("/dists/")
                found[folder] = f"{mirror}/" if separator else folder
        return found

    def needed(self, packages: Sequence[str]) -> list[str] | None:
        """Return what an installation would download; None where the lists do not allow an answer."""
        result = self._get(
            # No cache of the lists is written.
            "-oDir::Cache::pkgcache=",
            "-oDir::Cache::srcpkgcache=",
            "--print-uris",
            "--allow-downgrades",
            "install",
            *packages,
            timeout=120,
        )
        return _URI.findall(result.stdout) if result.ok else None

    def file_fields(self, package_file: Path) -> tuple[str, str]:
        """Return name and version of a package file."""
        result = self._runner.run(
            ["dpkg-deb", "-f", str(package_file), "Package", "Version"], timeout=60
        )
        fields = dict(line.split(": ", 1) for line in result.stdout.splitlines() if ": " in line)
        if not result.ok or not {"Package", "Version"} <= fields.keys():
            raise AptError(
                f"{package_file.name} is no Debian package: {result.output or 'no fields'}."
            )
        return fields["Package"].strip(), fields["Version"].strip()

    def plan(self, *arguments: str) -> Plan:
        """Ask apt what ``install …`` or ``remove …`` would do, changing nothing."""
        result = self._get("--simulate", *arguments, timeout=120)
        if result.ok:
            return Plan(steps=parse_simulation(result.stdout))
        return Plan(steps=[], known=False, problem=explain(result.output))

    # Acting

    def update(self) -> str:
        """Refresh the package lists; return why that failed, or an empty string."""
        deadline = time.monotonic() + self._lock_timeout
        while True:
            result = self._get("-oAPT::Update::Error-Mode=any", "update", timeout=300)
            locked = not result.ok and "Could not get lock" in result.output
            if not locked or time.monotonic() > deadline:
                break
            time.sleep(1)
        if not result.ok:
            return explain(result.output)
        stamp = self._stamps[0]
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()
        return ""

    def install(self, specifications: Sequence[str]) -> Result:
        """Install exactly these (name, name=version or /path.deb), and start nothing."""
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        # apt's own lock does not cover policy-rc.d.
        with (
            _io.locked(str(self._lock), timeout=self._lock_timeout),
            self._nothing_starts(),
        ):
            arguments = ("--no-remove", "--allow-downgrades", "install", *specifications)
            result = self._get(*arguments, timeout=1800, env={_NO_START: "1"})
            if "dpkg was interrupted" in result.output:
                self._runner.run(
                    ["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"],
                    timeout=900,
                    env={**_ENVIRONMENT, _NO_START: "1"},
                )
                result = self._get(*arguments, timeout=1800, env={_NO_START: "1"})
        return result

    def remove(self, packages: Sequence[str]) -> None:
        """Remove packages and keep their configuration files and data."""
        result = self._get("remove", *packages, timeout=900)
        if not result.ok:
            raise AptError(
                f"The packages {', '.join(packages)} could not be removed: {explain(result.output)}.",
                rc=result.rc,
                output=result.output[-4000:],
            )

    def _get(self, *arguments: str, timeout: float, env: Mapping[str, str] | None = None) -> Result:
        argv = ["apt-get", *self._options, *arguments]
        return self._runner.run(argv, timeout=timeout, env={**_ENVIRONMENT, **(env or {})})

    @contextlib.contextmanager
    def _nothing_starts(self) -> Iterator[None]:
        """Deny services to start by policy-rc.d, for the children of our apt-get only.

        Whoever else installs a package meanwhile gets the answer that this host gave before.
        So a file that a killed run leaves behind does no harm, and the next run takes it away.
        """
        saved = self._policy.with_name("policy-rc.d.koprogo-saved")
        before = _io.read_text(str(self._policy)) if self._policy.is_file() else None
        if before is not None and _POLICY_MARK not in before:
            _io.move(str(self._policy), str(saved))
        script = (
            f"#!/bin/sh\n{_POLICY_MARK}: packages are being installed, nothing may start with defaults.\n"
            f'[ -z "${_NO_START}" ] || exit 101\n'
            f'[ ! -x {saved} ] || exec {saved} "$@"\n'
            "exit 0\n"
        )
        _io.write_atomic(str(self._policy), script.encode(), mode=0o755)
        try:
            yield
        finally:
            if saved.exists():
                _io.move(str(saved), str(self._policy))
            else:
                _io.remove_file(str(self._policy))
