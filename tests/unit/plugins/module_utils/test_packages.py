# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._apt import AptError
from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._outcome import Outcome
from ansible_collections.koprogo.observability.plugins.module_utils._packages import (
    PackageSet,
    Wanted,
    parse_wanted,
)
from ansible_collections.koprogo.observability.plugins.module_utils._record import Places, Record
from tests.unit.plugins.module_utils.install_lab import Repository

OFFERED = {"tool": ["2.1-1", "2.0-1", "1.0-1"], "helper": ["1.0"], "extra": ["1"]}


class Host:
    """A component's packages on a host, run after run."""

    def __init__(self, root: Path, **have: str) -> None:
        self.places = Places(root=root)
        self.apt = Repository(have=have, offered=OFFERED)

    def provide(
        self, *packages: str, version: str = "", name: str = "tool", check: bool = False
    ) -> Outcome:
        outcome = Outcome()
        record = Record.load(name, self.places)
        package_set = PackageSet(self.apt, record, self.places, cache_valid_time=60)
        package_set.provide(
            parse_wanted(packages, version=version), outcome, package_file=None, check=check
        )
        return outcome

    def withdraw(self, name: str = "tool", *, check: bool = False) -> Outcome:
        outcome = Outcome()
        record = Record.load(name, self.places)
        PackageSet(self.apt, record, self.places, cache_valid_time=60).withdraw(
            outcome, check=check
        )
        return outcome

    def record(self, name: str = "tool") -> Record:
        return Record.load(name, self.places)


def test_options() -> None:
    assert parse_wanted(["a", "b=2", "c=3*"], version="1") == [
        Wanted(package="a", version="1"),
        Wanted(package="b", version="2"),
        Wanted(package="c", version="3"),
    ]
    assert parse_wanted([], version="1") == []
    with pytest.raises(InputError, match="found '=1'"):
        parse_wanted(["=1"], version="")


def test_nothing_to_do_asks_no_repository(tmp_path: Path) -> None:
    host = Host(tmp_path, tool="1.0-1")
    host.apt.lists = host.apt.fresh = False
    assert not host.provide("tool").changed
    assert host.apt.log == []


def test_installed_packages_are_not_upgraded_by_the_way(tmp_path: Path) -> None:
    host = Host(tmp_path, tool="1.0-1")
    outcome = host.provide("tool", "helper")
    assert host.apt.log == ["install helper"]
    assert host.apt.have == {"tool": "1.0-1", "helper": "1.0"}
    assert outcome.after == {"package helper": "1.0"}


@pytest.mark.parametrize(
    ("start", "pin", "end"),
    [("", "2.0", "2.0-1"), ("1.0-1", "2", "2.1-1"), ("2.1-1", "1.0", "1.0-1")],
)
def test_a_pin_is_met_up_and_down(tmp_path: Path, start: str, pin: str, end: str) -> None:
    host = Host(tmp_path, **({"tool": start} if start else {}))
    assert host.provide("tool", version=pin).changed
    assert host.apt.have == {"tool": end}
    assert not host.provide("tool", version=pin).changed


def test_a_pin_that_nobody_offers(tmp_path: Path) -> None:
    host = Host(tmp_path)
    with pytest.raises(
        AptError,
        match=r"tool_version: expected a version.*found 9; they offer 2.1-1, 2.0-1, 1.0-1 of tool",
    ):
        host.provide("tool", version="9")
    assert host.apt.log == ["update"], "the lists may have been old"
    assert host.apt.have == {}


class TestLists:
    def test_missing_lists_are_fetched_first(self, tmp_path: Path) -> None:
        host = Host(tmp_path)
        host.apt.lists = False
        host.provide("tool")
        assert host.apt.log == ["update", "install tool"]

    def test_fresh_lists_are_used_as_they_are(self, tmp_path: Path) -> None:
        host = Host(tmp_path)
        host.provide("tool")
        assert host.apt.log == ["install tool"]

    def test_an_unreachable_mirror_is_one_sentence(self, tmp_path: Path) -> None:
        host = Host(tmp_path)
        host.apt.lists = host.apt.reachable = False
        with pytest.raises(
            AptError,
            match=r"^tool could not be installed: the mirror deb.example.org cannot be reached. "
            r"Give this host a mirror that it reaches, or set tool_install to archive or none.$",
        ):
            host.provide("tool")
        assert host.apt.have == {}
        assert host.record().packages == {}
        assert host.record().pending == []

    def test_a_mirror_that_is_down_does_no_harm_where_apt_has_the_package(
        self, tmp_path: Path
    ) -> None:
        host = Host(tmp_path)
        host.apt.fresh = False

        def update() -> str:
            host.apt.log.append("update")
            return "the mirror deb.example.org cannot be reached"

        host.apt.update = update  # type: ignore[method-assign]
        outcome = host.provide("tool")
        assert host.apt.have == {"tool": "2.1-1"}
        assert "could not be refreshed" in outcome.warnings[0]

    def test_lists_that_name_replaced_files_are_refreshed_once(self, tmp_path: Path) -> None:
        host = Host(tmp_path)
        host.apt.reachable = False
        original = host.apt.update

        def update() -> str:
            host.apt.reachable = True
            return original()

        host.apt.update = update  # type: ignore[method-assign]
        host.provide("tool")
        assert host.apt.log == ["install tool", "update", "install tool"]


class TestCheckMode:
    def test_predicts_versions(self, tmp_path: Path) -> None:
        host = Host(tmp_path, helper="0.9")
        host.apt.dependencies = {"tool": ["extra"]}
        outcome = host.provide("tool", "helper", version="2.0", check=True)
        assert outcome.before == {"package tool": "absent", "package extra": "absent"}
        assert outcome.after == {"package tool": "2.0-1", "package extra": "1"}
        assert host.apt.log == []
        assert not (tmp_path / "var").exists()

    def test_without_lists(self, tmp_path: Path) -> None:
        host = Host(tmp_path)
        host.apt.lists = False
        outcome = host.provide("tool", check=True)
        assert outcome.after == {"package tool": "the available version (would be installed)"}
        assert "no package lists yet" in outcome.notes[0]

    def test_removal(self, tmp_path: Path) -> None:
        host = Host(tmp_path)
        host.provide("tool")
        host.apt.log.clear()
        assert host.withdraw(check=True).after == {"package tool": "absent"}
        assert host.apt.log == []


class TestRemoval:
    def test_only_what_was_not_there_before(self, tmp_path: Path) -> None:
        host = Host(tmp_path, helper="1.0")
        host.provide("tool", "helper")
        host.withdraw()
        assert host.apt.have == {"helper": "1.0"}

    def test_dependencies_go_too_if_nobody_needs_them(self, tmp_path: Path) -> None:
        host = Host(tmp_path)
        host.apt.dependencies = {"tool": ["extra"]}
        host.provide("tool")
        assert host.record().dependencies == ["extra"]
        outcome = host.withdraw()
        assert host.apt.have == {}
        assert outcome.after == {"package tool": "absent", "package extra": "absent"}

    def test_unused_packages_of_others_stay(self, tmp_path: Path) -> None:
        host = Host(tmp_path, extra="1")
        host.apt.dependencies = {"tool": ["extra"]}
        host.provide("tool")
        host.withdraw()
        assert host.apt.have == {"extra": "1"}

    def test_a_dependency_that_another_component_asked_for_stays(self, tmp_path: Path) -> None:
        host = Host(tmp_path)
        host.apt.dependencies = {"tool": ["extra"]}
        host.provide("tool", name="one")
        host.provide("extra", name="two")
        host.withdraw("one")
        assert host.apt.have == {"extra": host.apt.have["extra"]}

    def test_a_package_that_something_needs_now_stays(self, tmp_path: Path) -> None:
        host = Host(tmp_path)
        host.provide("tool")
        host.apt.have["theirs"] = "1"
        host.apt.dependencies = {"theirs": ["tool"]}
        outcome = host.withdraw()
        assert "tool" in host.apt.have
        assert outcome.kept == ["package tool (theirs needs it)"]

    def test_a_shared_package_goes_with_the_last_component(self, tmp_path: Path) -> None:
        host = Host(tmp_path)
        host.provide("tool", name="one")
        host.provide("tool", name="two")
        assert host.withdraw("one").kept == ["package tool (component two needs it)"]
        assert host.apt.have == {"tool": "2.1-1"}
        Record.load("one", host.places).forget(host.places)
        host.withdraw("two")
        assert host.apt.have == {}

    def test_a_killed_transaction_is_adopted(self, tmp_path: Path) -> None:
        host = Host(tmp_path)
        record = Record(name="tool", pending=["tool"])
        record.save(host.places)
        host.apt.have["tool"] = "2.1-1"  # apt went on to its end
        assert not host.provide("tool").changed
        host.withdraw()
        assert host.apt.have == {}


def test_a_virtual_package_is_refused(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.apt._resolve = lambda specifications: {"provider": "1"}  # type: ignore[method-assign]
    with pytest.raises(AptError, match="mail-transport-agent: only a virtual package"):
        host.provide("mail-transport-agent")
