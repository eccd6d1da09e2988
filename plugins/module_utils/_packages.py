# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""The packages of a component: which are missing, how they come, which may go again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.koprogo.observability.plugins.module_utils._apt import (
    Apt,
    AptError,
    Step,
    explain,
    version_matches,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._outcome import Outcome
from ansible_collections.koprogo.observability.plugins.module_utils._record import (
    COMMON,
    Places,
    Record,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Result

__all__ = ["PackageSet", "Wanted", "parse_wanted"]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A package, and the version that it is pinned to (empty: any)."""

    package: str
    version: str = ""

    def met(self, installed: dict[str, str]) -> bool:
        """Whether it is there at the wanted version."""
        return self.package in installed and version_matches(installed[self.package], self.version)

    def __str__(self) -> str:
        """The form used in options and messages."""
        return f"{self.package}={self.version}" if self.version else self.package


def parse_wanted(packages: Sequence[str], *, version: str) -> list[Wanted]:
    """Read the option: the version is that of the first package; others may carry ``=version``."""
    wanted: list[Wanted] = []
    for position, item in enumerate(packages):
        package, _equals, own = item.strip().partition("=")
        if not package:
            raise InputError(f"packages: expected names or name=version, found '{item}'.")
        pin = own or (version if position == 0 else "")
        wanted.append(Wanted(package=package.strip(), version=pin.strip().removesuffix("*")))
    return list({item.package: item for item in wanted}.values())


class PackageSet:
    """Brings a component's packages to a host, and takes its own ones away."""

    def __init__(
        self,
        apt: Apt,
        record: Record,
        places: Places,
        *,
        cache_valid_time: float,
        holding: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """``cache_valid_time`` is the age in seconds from which package lists are refreshed.

        ``holding`` is entered around a transaction.
        """
        self._apt = apt
        self._record = record
        self._places = places
        self._valid = cache_valid_time
        self._holding = holding
        self._refreshed = False
        self._refresh_problem = ""

    def provide(
        self, wanted: Sequence[Wanted], outcome: Outcome, *, package_file: Path | None, check: bool
    ) -> None:
        """Install what is missing or pinned elsewhere; touch nothing else."""
        self._adopt_pending(check=check)
        installed = self._apt.installed([item.package for item in wanted])
        missing = [item for item in wanted if not item.met(installed)]
        if missing or package_file is not None:
            if check:
                self._predict(missing, installed, outcome)
                return
            self._install(missing, outcome, package_file)
            installed = self._apt.installed([item.package for item in wanted])
            if virtual := [item.package for item in wanted if item.package not in installed]:
                raise AptError(
                    f"{', '.join(virtual)}: only a virtual package, name the one that provides it."
                )
        outcome.facts["packages"] = installed
        if not check:
            # The common transaction only goes ahead: it needs nothing itself, so it keeps nothing from going.
            if self._record.name != COMMON:
                self._record.requested = sorted(item.package for item in wanted)
            self._take_over()
            self._record.save(self._places)

    def _take_over(self) -> None:
        """What the host's common transaction installed ahead of this component is this component's."""
        if self._record.name == COMMON:
            return
        common = Record.load(COMMON, self._places)
        mine = {
            name: common.packages[name]
            for name in self._record.requested
            if name in common.packages
        }
        if not mine:
            return
        self._record.packages |= mine
        self._record.dependencies = sorted({*self._record.dependencies, *common.dependencies})
        # In this order: killed in between, two records name the package, and neither is lost.
        self._record.save(self._places)
        common.packages = {k: v for k, v in common.packages.items() if k not in mine}
        common.save(self._places)

    def _adopt_pending(self, *, check: bool) -> None:
        """A run that was killed during its transaction installed these; they were not there before."""
        if not self._record.pending:
            return
        self._record.packages |= self._apt.installed(self._record.pending)
        self._record.pending = []
        if not check:
            self._record.save(self._places)

    def _predict(
        self, missing: Sequence[Wanted], installed: dict[str, str], outcome: Outcome
    ) -> None:
        steps: list[Step] = []
        if missing and self._apt.have_lists():
            pins = {item: self._offered(item) for item in missing}
            if all(pins.values()):
                plan = self._apt.plan("--allow-downgrades", "install", *pins.values())
                steps = plan.steps
                if not plan.known:
                    outcome.notes.append(
                        f"The real run refreshes the package lists first; now: {plan.problem}."
                    )
        elif missing:
            outcome.notes.append(
                "This host has no package lists yet; the real run downloads them first."
            )
        planned = {
            step.package: (step.before or "absent", step.after or "absent") for step in steps
        }
        for item in missing:
            _before, after = planned.get(
                item.package,
                ("", f"{item.version or 'the available version'} (would be installed)"),
            )
            planned[item.package] = (installed.get(item.package, "absent"), after)
        # In the real run's order, so that the two diffs are the same.
        for package, (before, after) in sorted(planned.items()):
            outcome.change(f"package {package}", before, after)
        outcome.facts["packages"] = installed

    def _install(
        self, missing: Sequence[Wanted], outcome: Outcome, package_file: Path | None
    ) -> None:
        before = self._apt.everything()
        if missing and self._apt.stale(valid=self._valid):
            self._refresh()
        specifications = [self._specification(item) for item in missing]
        names = [item.package for item in missing]
        if package_file is not None:
            names.append(self._apt.file_fields(package_file)[0])
            specifications.append(str(package_file))
        self._record.pending = sorted(name for name in names if name not in before)
        self._record.save(self._places)
        with self._holding():
            result = self._apt.install(specifications)
            if not result.ok and missing and not self._refreshed:
                # Old lists name files that the mirror has replaced since.
                self._refresh()
                result = self._apt.install(
                    [self._specification(item) for item in missing] + specifications[len(missing) :]
                )
        after = self._apt.everything()
        self._note_transaction(before, after, outcome)
        if not result.ok:
            raise self._failure(names, result)
        if self._refresh_problem:
            outcome.warnings.append(
                f"The package lists could not be refreshed: {self._refresh_problem}."
            )

    def _note_transaction(
        self, before: dict[str, str], after: dict[str, str], outcome: Outcome
    ) -> None:
        new = sorted(after.keys() - before.keys())
        pending = set(self._record.pending)
        self._record.packages |= {name: after[name] for name in new if name in pending}
        self._record.packages |= {
            name: after[name] for name in self._record.packages if name in after
        }
        self._record.dependencies = sorted(
            {*self._record.dependencies, *(name for name in new if name not in pending)}
            & after.keys()
        )
        self._record.pending = []
        self._record.save(self._places)
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                outcome.change(
                    f"package {name}", before.get(name, "absent"), after.get(name, "absent")
                )

    def _refresh(self) -> None:
        self._refresh_problem = self._apt.update()
        self._refreshed = True

    def _offered(self, item: Wanted) -> str:
        """Return what to give apt for a package, empty where its pin is not to be had."""
        if not item.version:
            return item.package
        offered = (
            version
            for version in self._apt.versions(item.package)
            if version_matches(version, item.version)
        )
        version = next(offered, "")
        return f"{item.package}={version}" if version else ""

    def _specification(self, item: Wanted) -> str:
        found = self._offered(item)
        if not found and not self._refreshed:
            self._refresh()
            found = self._offered(item)
        if found:
            return found
        offered = ", ".join(self._apt.versions(item.package)) or "no version at all"
        problem = (
            f" (the lists could not be refreshed: {self._refresh_problem})"
            if self._refresh_problem
            else ""
        )
        raise AptError(
            f"{self._option('version')}: expected a version that the repositories offer, found "
            f"{item.version}; they offer {offered} of {item.package}{problem}. Nothing was changed.",
            offered=self._apt.versions(item.package),
        )

    def _failure(self, names: Sequence[str], result: Result) -> AptError:
        reason = self._refresh_problem or explain(result.output)
        return AptError(
            f"{', '.join(names)} could not be installed: {reason}. Give this host a mirror that it reaches, "
            f"or set {self._option('install')} to archive or none.",
            rc=result.rc,
            output=result.output[-4000:],
        )

    def _option(self, suffix: str) -> str:
        role = "<role>" if self._record.name == COMMON else self._record.name.replace("-", "_")
        return f"{role}_{suffix}"

    # Removal

    def withdraw(self, outcome: Outcome, *, check: bool) -> None:
        """Remove what this component installed, unless something else needs it now."""
        self._adopt_pending(check=check)
        mine = self._apt.installed(sorted(self._record.packages))
        for other in Record.others(self._record.name, self._places):
            for package in sorted(mine.keys() & set(other.requested)):
                # The other component keeps it, and becomes the one that may remove it.
                outcome.kept.append(f"package {package} (component {other.name} needs it)")
                if not check:
                    other.packages[package] = mine[package]
                    other.save(self._places)
                del mine[package]
        allowed = {*mine, *self._record.dependencies}
        removable = [package for package in mine if self._only_ours(package, allowed, outcome)]
        for package in removable:
            outcome.change(f"package {package}", mine[package], "absent")
        if check or not removable:
            return
        before = self._apt.everything()
        self._apt.remove(removable)
        plan = self._apt.plan("autoremove")
        # Apt knows of no other component that asked for one of them.
        asked = {
            one
            for other in Record.others(self._record.name, self._places)
            for one in other.requested
        }
        gone = {*self._record.dependencies} - asked
        unused = [step.package for step in plan.steps if step.package in gone]
        if unused and {step.package for step in self._apt.plan("remove", *unused).steps} <= {
            *unused
        }:
            self._apt.remove(unused)
        after = self._apt.everything()
        for name in sorted(before.keys() - after.keys()):
            outcome.change(f"package {name}", before[name], "absent")

    def _only_ours(self, package: str, allowed: set[str], outcome: Outcome) -> bool:
        foreign = [
            step.package
            for step in self._apt.plan("remove", package).steps
            if step.package not in allowed
        ]
        if foreign:
            outcome.kept.append(f"package {package} ({', '.join(foreign)} needs it)")
        return not foreign
