# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._apt import (
    Apt,
    Plan,
    Step,
    explain,
    parse_simulation,
    version_matches,
)
from tests.unit.plugins.module_utils.install_lab import ListeningRunner


@pytest.mark.parametrize(
    ("installed", "wanted", "matches"),
    [
        ("2.42.0+ds-5+b5", "", True),
        ("2.42.0+ds-5+b5", "2.42.0", True),
        ("2.42.0+ds-5+b5", "2.42", True),
        ("2.42.0+ds-5+b5", "2.42.0+ds-5+b5", True),
        ("2.42.0+ds-5+b5", "2.4", False),
        ("2.42.0+ds-5+b5", "2.42.0+ds-5+b", False),
        ("2.42.10", "2.42.1", False),
        ("1:2.3-1", "2.3", True),
        ("1:2.3-1", "1:2.3", True),
        ("2.42.0", "2.42.0-1", False),
        ("0.25.0-1+b4", "0.25.", True),
    ],
)
def test_version_matches(installed: str, wanted: str, matches: bool) -> None:
    assert version_matches(installed, wanted) is matches


def test_simulation() -> None:
    text = """Reading package lists...
Inst prometheus-node-exporter (1.5.0-1+b6 Debian:12.11/stable [amd64])
Inst libc6:i386 [2.36-9] (2.36-10 Debian:12.11/stable [i386])
Remv old-exporter [0.9]
Conf prometheus-node-exporter (1.5.0-1+b6 Debian:12.11/stable [amd64])
"""
    assert parse_simulation(text) == [
        Step(package="libc6", before="2.36-9", after="2.36-10"),
        Step(package="old-exporter", before="0.9", after=""),
        Step(package="prometheus-node-exporter", before="", after="1.5.0-1+b6"),
    ]


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (
            "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1",
            "another package manager holds /var/lib/dpkg/lock-frontend.; wait",
        ),
        (
            "E: Failed to fetch http://deb.example.org/x  Could not connect",
            "mirror http://deb.example.org/x",
        ),
        (
            "W: Temporary failure resolving 'deb.example.org'",
            "mirror deb.example.org cannot be reached",
        ),
        ("E: Unable to locate package loki", "no repository has the package loki"),
        ("E: Package 'loki' has no installation candidate", "no repository has the package loki"),
        ("E: Version '9' for 'loki' was not found", "version 9 of loki is in no repository"),
        (
            "E: Packages need to be removed but remove is disabled.",
            "it would remove other packages",
        ),
        ("E: The repository 'http://x y Release' is not signed.", "is no signed repository"),
        (
            "E: You don't have enough free space in /var/cache/apt/archives/.",
            "the file system is full",
        ),
        ("W: something\nE: Something new happened.\n", "Something new happened"),
        ("last words", "last words"),
        ("", "apt-get printed nothing"),
    ],
)
def test_reasons_in_one_phrase(output: str, reason: str) -> None:
    assert reason in explain(output)


def test_installed_ignores_half_installed() -> None:
    rows = "installed\tprometheus\t2.42\nconfig-files\tloki\t3.0\nhalf-configured\tgrafana\t11\n"
    runner = ListeningRunner(lambda _argv: (1, rows))
    assert Apt(runner).installed(["prometheus", "loki", "grafana", "x"]) == {"prometheus": "2.42"}
    assert Apt(runner).installed([]) == {}


def test_everything_is_read_from_the_status_file(tmp_path: Path) -> None:
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(
        "Package: dpkg\nEssential: yes\nStatus: install ok installed\nVersion: 1.21\n"
        "Description: x\n Status: y\n\n"
        "Package: held\nStatus: hold ok installed\nVersion: 2\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 3\n"
    )
    assert Apt(ListeningRunner(), root=tmp_path).everything() == {"dpkg": "1.21", "held": "2"}


def test_offered_versions_keep_apts_order() -> None:
    rows = " loki | 3.7 | http://a x/main\n loki | 3.6 | http://a x/main\n loki | 3.7 | http://b x/main\n"
    assert Apt(ListeningRunner(lambda _argv: (0, rows))).versions("loki") == ["3.7", "3.6"]


class TestStale:
    def host(self, root: Path, *, age: float, source_age: float = 99999.0) -> Apt:
        lists = root / "var/lib/apt/lists"
        sources = root / "etc/apt/sources.list.d"
        for folder in (lists, sources):
            folder.mkdir(parents=True)
        (lists / "deb_dists_bookworm_main_binary-amd64_Packages").touch()
        source = sources / "debian.sources"
        source.touch()
        now = time.time()
        os.utime(source, (now, now - source_age))
        os.utime(lists, (now, now - age))
        return Apt(ListeningRunner(), root=root)

    def test_young(self, tmp_path: Path) -> None:
        assert not self.host(tmp_path, age=10).stale(valid=100)

    def test_old(self, tmp_path: Path) -> None:
        assert self.host(tmp_path, age=200).stale(valid=100)

    def test_a_new_source(self, tmp_path: Path) -> None:
        assert self.host(tmp_path, age=10, source_age=1).stale(valid=100)

    def test_no_lists(self, tmp_path: Path) -> None:
        assert Apt(ListeningRunner(), root=tmp_path).stale(valid=1e9)


def test_a_plan_that_apt_refuses_is_unknown() -> None:
    runner = ListeningRunner(lambda _argv: (100, "E: Unable to locate package x"))
    plan = Apt(runner).plan("install", "x")
    assert plan == Plan(steps=[], known=False, problem="no repository has the package x")
    assert "--simulate" in runner.calls[0]


class TestNothingStarts:
    """While apt runs, its children are told not to start services; nobody else is."""

    def ask(self, policy: Path, **env: str) -> int:
        return subprocess.run([str(policy), "x", "start"], env=env, check=False).returncode

    def run(self, root: Path, during: list[tuple[int, int]]) -> None:
        policy = root / "usr/sbin/policy-rc.d"

        def answer(_argv: list[str]) -> tuple[int, str]:
            during.append((self.ask(policy, KOPROGO_NO_START="1"), self.ask(policy)))
            return 0, ""

        Apt(ListeningRunner(answer), root=root).install(["x"])

    def test_without_a_policy_before(self, tmp_path: Path) -> None:
        (tmp_path / "usr/sbin").mkdir(parents=True)
        during: list[tuple[int, int]] = []
        self.run(tmp_path, during)
        assert during == [(101, 0)]
        assert list((tmp_path / "usr/sbin").iterdir()) == []

    def test_the_hosts_own_policy_comes_back(self, tmp_path: Path) -> None:
        policy = tmp_path / "usr/sbin/policy-rc.d"
        policy.parent.mkdir(parents=True)
        policy.write_text("#!/bin/sh\nexit 42\n")
        policy.chmod(0o755)
        during: list[tuple[int, int]] = []
        self.run(tmp_path, during)
        assert during == [(101, 42)]
        assert policy.read_text() == "#!/bin/sh\nexit 42\n"
        assert [path.name for path in policy.parent.iterdir()] == ["policy-rc.d"]

    def test_after_a_kill_the_next_run_tidies_up(self, tmp_path: Path) -> None:
        policy = tmp_path / "usr/sbin/policy-rc.d"
        policy.parent.mkdir(parents=True)
        policy.write_text("#!/bin/sh\nexit 42\n")
        policy.chmod(0o755)

        def killed(_argv: list[str]) -> tuple[int, str]:
            raise KeyboardInterrupt

        apt = Apt(ListeningRunner(killed), root=tmp_path)
        # What a SIGKILL leaves: our file, and the host's own beside it.
        generator = apt._nothing_starts()
        generator.__enter__()
        assert self.ask(policy) == 42, "others must not notice"
        during: list[tuple[int, int]] = []
        self.run(tmp_path, during)
        assert during == [(101, 42)]
        assert policy.read_text() == "#!/bin/sh\nexit 42\n"


def test_an_interrupted_dpkg_is_finished_first(tmp_path: Path) -> None:
    (tmp_path / "usr/sbin").mkdir(parents=True)
    answers = iter(
        [
            (100, "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'"),
            (0, ""),
            (0, ""),
        ]
    )
    runner = ListeningRunner(lambda _argv: next(answers))
    assert Apt(runner, root=tmp_path).install(["x"]).ok
    assert [call[0] for call in runner.calls] == ["apt-get", "dpkg", "apt-get"]
