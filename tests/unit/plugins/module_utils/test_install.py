# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole installations, in a folder instead of a host."""

from __future__ import annotations

import getpass
import grp
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    ConflictError,
    InputError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._fetch import SourceError
from ansible_collections.koprogo.observability.plugins.module_utils._install import (
    Installer,
    Request,
)
from ansible_collections.koprogo.observability.plugins.module_utils._record import Places, Record
from ansible_collections.koprogo.observability.plugins.module_utils._source import NeedsSource
from tests.unit.plugins.module_utils.install_lab import (
    ListeningRunner,
    Repository,
    names,
    program,
    sha256,
    tar,
)

ME = getpass.getuser()
MY_GROUP = grp.getgrgid(os.getgid()).gr_name
UNIT = "[Service]\nExecStart=/usr/local/bin/tool\n"


class Host:
    """A host in a folder, and a control node beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root / "host"
        self.places = Places(root=self.root)
        (self.root / "etc/systemd/system").mkdir(parents=True)
        self.files = root / "control"
        self.files.mkdir()
        self.apt = Repository(have={}, offered={"tool": ["1.0-1"], "helper": ["1"]})
        self.runner = ListeningRunner(lambda _argv: (0, "LoadState=not-found\n"))
        self.sent = 0

    def archive(self, version: str, architecture: str = "amd64") -> tuple[str, str]:
        path = self.files / f"tool-{version}.tar.gz"
        if not path.exists():  # gzip notes the time: made again it would be another file
            path.write_bytes(tar({f"tool-{version}/tool": program(architecture, version.encode())}))
        return str(path), sha256(path.read_bytes())

    def options(self, version: str = "1.0", **more: Any) -> dict[str, Any]:
        source, digest = self.archive(version)
        return {
            "name": "tool",
            "method": "archive",
            "version": version,
            "source": source,
            "sha256": digest,
            "binaries": {"tool": "/usr/local/bin/tool"},
            "user": ME,
            "group": MY_GROUP,
            "directories": ["/var/lib/tool"],
            "unit_name": "tool.service",
            "unit_content": UNIT,
            **more,
        }

    def run(self, *, state: str = "present", check: bool = False, **options: Any) -> dict[str, Any]:
        """As the action plugin does: ask, send what is asked for, ask again."""

        def ask(**more: Any) -> dict[str, Any]:
            installer = Installer(
                Request(**{"name": "tool", **options, **more}),
                runner=self.runner,
                apt=self.apt,
                places=self.places,
                check=check,
                architecture="amd64",
            )
            return installer.present() if state == "present" else installer.absent()

        try:
            return ask()
        except NeedsSource as question:
            self.sent += 1
            return ask(staged_file=question.evidence["needs_source"]["path"])

    def path(self, name: str) -> Path:
        return self.root / name.lstrip("/")

    def content(self) -> dict[str, str]:
        """Everything on the host, to compare before and after."""
        return {
            str(path.relative_to(self.root)): str(path.readlink())
            if path.is_symlink()
            else path.read_text("latin-1")
            for path in self.root.rglob("*")
            if path.is_symlink() or path.is_file()
        }


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    # Flushing the whole machine's disks for each test only costs time.
    monkeypatch.setattr(os, "sync", lambda: None)
    return Host(tmp_path)


class TestArchive:
    def test_everything_is_there(self, host: Host) -> None:
        assert host.run(**host.options())["changed"]
        assert host.path("/usr/local/bin/tool").read_bytes().endswith(b"1.0")
        assert host.path("/etc/systemd/system/tool.service").read_text() == UNIT
        data = host.path("/var/lib/tool").stat()
        assert (stat.S_IMODE(data.st_mode), data.st_uid) == (0o750, os.getuid())
        assert ["systemctl", "--no-ask-password", "daemon-reload"] in host.runner.calls

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root makes links of somebody else")
    def test_nobody_is_given_what_their_link_leads_to(self, host: Host) -> None:
        data, prize = host.path("/var/lib/tool"), host.path("/etc/prize")
        data.parent.mkdir(parents=True)
        prize.mkdir(parents=True, mode=0o700)
        data.symlink_to(prize)
        os.lchown(data, 1, 1)
        os.chown(prize, 2, 2)
        with pytest.raises(
            ConflictError, match="/var/lib/tool: expected a directory, found a link"
        ):
            host.run(**host.options())
        # Root's own leads to where an administrator wants the data; its mode is theirs too.
        os.lchown(data, 0, 0)
        host.run(**host.options())
        assert (prize.stat().st_uid, stat.S_IMODE(prize.stat().st_mode)) == (os.getuid(), 0o700)

    def test_the_second_run_changes_and_sends_nothing(self, host: Host) -> None:
        host.run(**host.options())
        before = host.content()
        host.runner.calls.clear()
        result = host.run(**host.options())
        assert not result["changed"]
        assert (host.content(), host.sent, host.runner.calls) == (before, 1, [])

    def test_a_new_version_and_back_without_sending_again(self, host: Host) -> None:
        for version, sent in (("1.0", 1), ("2.0", 2), ("1.0", 2), ("2.0", 2)):
            assert host.run(**host.options(version))["changed"]
            assert host.path("/usr/local/bin/tool").read_bytes().endswith(version.encode())
            assert host.sent == sent

    def test_only_the_previous_version_is_kept(self, host: Host) -> None:
        for version in ("1.0", "2.0", "3.0"):
            host.run(**host.options(version))
        assert names(host.path("/opt/koprogo/tool")) == ["2.0", "3.0", "current"]

    @pytest.mark.parametrize("digest", ["", "short", "0" * 64])
    def test_without_the_right_checksum_nothing_happens(self, host: Host, digest: str) -> None:
        before = host.content()
        with pytest.raises((InputError, SourceError), match="sha256"):
            host.run(**host.options(sha256=digest))
        assert host.content() == before
        assert not host.path("/opt").exists()

    def test_a_file_url(self, host: Host) -> None:
        options = host.options()
        host.run(**{**options, "source": f"file://{options['source']}"})
        assert host.sent == 0
        assert host.path("/usr/local/bin/tool").exists()
        assert [path.name for path in host.places.state.iterdir()] == ["tool.json"]

    def test_by_architecture(self, host: Host) -> None:
        options = host.options()
        host.run(
            **{
                **options,
                "source": {"arm64": "/nowhere", "amd64": options["source"]},
                "sha256": {"arm64": "0" * 64, "amd64": options["sha256"]},
            }
        )
        assert host.path("/usr/local/bin/tool").exists()

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"source": ""}, "tool_archive: expected a URL or a path"),
            ({"source": {"arm64": "x"}}, "tool_archive: expected an entry.*amd64"),
            ({"binaries": {}}, "at least one program"),
            ({"binaries": {"tool": "usr/bin/tool"}}, "expected an absolute path"),
            ({"binaries": {"tool": "/usr/../tool"}}, "expected an absolute path"),
            ({"binaries": {"a": "/x/tool", "b": "/y/tool"}}, "different names"),
            ({"directories": ["var/lib"]}, "expected an absolute path"),
            ({"unit_name": "../x.service"}, "unit.name"),
            ({"name": "../tool"}, "name: expected"),
        ],
    )
    def test_wrong_options(self, host: Host, wrong: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match=message):
            host.run(**host.options(**wrong))
        assert not host.path("/opt").exists()

    def test_check_mode_predicts_and_touches_nothing(self, host: Host) -> None:
        before = host.content()
        result = host.run(check=True, **host.options())
        assert host.content() == before
        assert host.sent == 0
        assert result["needs_source"]["path"].endswith("tool-1.0.tar.gz")
        real = host.run(**host.options())
        assert {"changed": True, "diff": result["diff"]} == {
            "changed": real["changed"],
            "diff": real["diff"],
        }
        assert not host.run(check=True, **host.options())["changed"]

    def test_a_user_is_made_without_a_login(self, host: Host) -> None:
        host.run(**host.options(user="nosuchuser", group="", directories=[]))
        made = [call for call in host.runner.calls if call[0].endswith("add")]
        assert [call[0] for call in made] == ["groupadd", "useradd"]
        assert "/usr/sbin/nologin" in made[1]
        assert "--system" in made[1]

    def test_links_that_are_no_longer_wanted_go(self, host: Host) -> None:
        host.run(**host.options())
        host.run(**host.options(binaries={"tool": "/usr/local/bin/renamed"}))
        assert names(host.path("/usr/local/bin")) == ["renamed"]
        assert host.sent == 1

    def test_an_edited_unit_is_written_again(self, host: Host) -> None:
        host.run(**host.options())
        host.path("/etc/systemd/system/tool.service").write_text("edited")
        result = host.run(**host.options())
        assert result["changed"]
        assert result["diff"][0]["before"] == "edited"

    def test_a_directory_where_a_link_goes(self, host: Host) -> None:
        host.path("/usr/local/bin/tool").mkdir(parents=True)
        with pytest.raises(ConflictError, match="/usr/local/bin/tool: expected a place for a link"):
            host.run(**host.options())


class TestAbsent:
    def test_everything_of_ours_goes_and_data_stays(self, host: Host) -> None:
        before = host.content()
        host.run(**host.options())
        host.path("/var/lib/tool/data").write_text("precious")
        result = host.run(state="absent")
        assert result["changed"]
        assert result["kept"] == ["directory /var/lib/tool"]
        assert host.content() == before | {"var/lib/tool/data": "precious"}
        assert not host.run(state="absent")["changed"]

    def test_what_stood_there_before_comes_back(self, host: Host) -> None:
        for name, text in (
            ("/usr/local/bin/tool", "by hand"),
            ("/etc/systemd/system/tool.service", "own unit"),
        ):
            host.path(name).parent.mkdir(parents=True, exist_ok=True)
            host.path(name).write_text(text)
        before = host.content()
        host.run(**host.options())
        assert host.path("/usr/local/bin/tool").read_bytes().endswith(b"1.0")
        host.run(**host.options("2.0"))
        host.run(state="absent")
        assert host.content() == before

    def test_an_edited_unit_is_not_ours_any_more(self, host: Host) -> None:
        host.run(**host.options())
        host.path("/etc/systemd/system/tool.service").write_text("edited")
        assert any("it was edited" in item for item in host.run(state="absent")["kept"])
        assert host.path("/etc/systemd/system/tool.service").read_text() == "edited"

    def test_a_link_that_leads_elsewhere_now_stays(self, host: Host) -> None:
        host.run(**host.options())
        link = host.path("/usr/local/bin/tool")
        link.unlink()
        link.symlink_to("/opt/theirs/tool")
        host.run(state="absent")
        assert str(link.readlink()) == "/opt/theirs/tool"

    def test_never_installed(self, host: Host) -> None:
        assert not host.run(state="absent")["changed"]

    def test_check_mode(self, host: Host) -> None:
        host.run(**host.options())
        before = host.content()
        predicted = host.run(state="absent", check=True)
        assert host.content() == before
        assert predicted["diff"] == host.run(state="absent")["diff"]


class TestOtherMethods:
    def test_from_archive_to_package(self, host: Host) -> None:
        host.run(**host.options())
        result = host.run(packages=["tool"], unit_name="tool.service")
        assert result["packages"] == {"tool": "1.0-1"}
        assert not host.path("/usr/local/bin/tool").exists()
        assert not host.path("/etc/systemd/system/tool.service").exists()
        assert not host.path("/opt/koprogo").exists()
        assert not host.run(packages=["tool"], unit_name="tool.service")["changed"]
        host.run(state="absent")
        assert host.apt.have == {}

    def test_none_names_what_is_missing(self, host: Host) -> None:
        with pytest.raises(
            InputError, match=r"tool_install is none.*must have missing-tool, tool.service"
        ):
            host.run(method="none", commands=["ls", "missing-tool"], unit_name="tool.service")
        assert not host.run(method="none", commands=["ls"])["changed"]

    def test_package_needs_packages(self, host: Host) -> None:
        with pytest.raises(InputError, match="expected packages or package_file"):
            host.run()


class TestPackageFile:
    def options(self, host: Host, version: str = "5.0") -> dict[str, Any]:
        path = host.files / f"tool_{version}_amd64.deb"
        path.write_bytes(b"a package " + version.encode())
        host.apt.file = ("tool", version)
        return {
            "packages": ["tool", "helper"],
            "package_file": str(path),
            "package_file_sha256": sha256(path.read_bytes()),
        }

    def test_comes_with_the_others_in_one_transaction(self, host: Host) -> None:
        result = host.run(**self.options(host))
        assert result["packages"] == {"helper": "1", "tool": "5.0"}
        assert [line.split()[0:2] for line in host.apt.log] == [["install", "helper"]]
        assert host.sent == 1
        assert not host.run(**self.options(host))["changed"]
        assert host.sent == 1
        assert [path.name for path in host.places.state.iterdir()] == ["tool.json"]

    def test_a_newer_file(self, host: Host) -> None:
        host.run(**self.options(host))
        assert host.run(**self.options(host, "6.0"))["changed"]
        assert host.apt.have["tool"] == "6.0"
        host.run(state="absent")
        assert host.apt.have == {}

    def test_needs_a_checksum(self, host: Host) -> None:
        with pytest.raises(InputError, match="tool_package_file_sha256"):
            host.run(**{**self.options(host), "package_file_sha256": ""})

    def test_a_wrong_checksum(self, host: Host) -> None:
        with pytest.raises(SourceError, match="Nothing was changed"):
            host.run(**{**self.options(host), "package_file_sha256": "0" * 64})
        assert host.apt.log == []

    def test_check_mode(self, host: Host) -> None:
        result = host.run(check=True, **self.options(host))
        assert result["changed"]
        assert host.apt.log == []
        assert result["needs_source"]["path"].endswith("tool_5.0_amd64.deb")


def test_a_damaged_record_is_an_error_that_names_it(host: Host) -> None:
    host.places.state.mkdir(parents=True)
    (host.places.state / "tool.json").write_text("{")
    with pytest.raises(ConflictError, match=r"tool\.json cannot be read"):
        host.run(packages=["tool"])


def test_a_record_of_a_later_version_is_understood(host: Host) -> None:
    host.places.state.mkdir(parents=True)
    (host.places.state / "tool.json").write_text(
        '{"schema": 2, "packages": {"tool": "1"}, "news": 1}'
    )
    assert Record.load("tool", host.places).packages == {"tool": "1"}
