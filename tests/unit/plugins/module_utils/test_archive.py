# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.koprogo.observability.plugins.module_utils._archive import (
    ArchiveError,
    check_machine,
    find_binaries,
    host_architecture,
    unpack,
)
from tests.unit.plugins.module_utils.install_lab import program, special, tar


def test_tar_formats_and_modes(tmp_path: Path) -> None:
    content = {"x-1/": b"", "x-1/tool": program(), "x-1/README": b"hello"}
    for compression in ("gz", "xz", "bz2", ""):
        into = tmp_path / (compression or "plain")
        into.mkdir()
        unpack(io.BytesIO(tar(content, compression=compression)), into)
        assert (into / "x-1/README").read_bytes() == b"hello"
        assert stat.S_IMODE((into / "x-1/tool").stat().st_mode) == 0o755
        assert stat.S_IMODE((into / "x-1/README").stat().st_mode) == 0o644


def test_zip_with_modes_and_links(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        tool = zipfile.ZipInfo("bin/tool")
        tool.external_attr = (stat.S_IFREG | 0o4755) << 16
        archive.writestr(tool, program())
        link = zipfile.ZipInfo("tool")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "bin/tool")
        archive.writestr("plain", "no mode at all")
    unpack(buffer, tmp_path)
    assert stat.S_IMODE((tmp_path / "bin/tool").stat().st_mode) == 0o755  # setuid is dropped
    assert (tmp_path / "tool").readlink() == Path("bin/tool")
    assert stat.S_IMODE((tmp_path / "plain").stat().st_mode) == 0o644


def test_a_bare_program_gets_the_wanted_name(tmp_path: Path) -> None:
    unpack(io.BytesIO(program()), tmp_path, single="loki")
    assert os.access(tmp_path / "loki", os.X_OK)


def test_links_inside_are_kept(tmp_path: Path) -> None:
    data = tar(
        {
            "a/tool": program(),
            "a/soft": special("a/soft", tarfile.SYMTYPE, "tool"),
            "a/hard": special("a/hard", tarfile.LNKTYPE, "a/tool"),
        }
    )
    unpack(io.BytesIO(data), tmp_path)
    assert (tmp_path / "a/soft").read_bytes() == (tmp_path / "a/hard").read_bytes() == program()


@pytest.mark.parametrize(
    "entries",
    [
        [("../evil", b"x")],
        [("/etc/evil", b"x")],
        [("a/../../evil", b"x")],
        [("l", special("l", tarfile.SYMTYPE, "/etc"))],
        [("l", special("l", tarfile.SYMTYPE, "../.."))],
        [("l", special("l", tarfile.LNKTYPE, "../../etc/passwd"))],
        [("l", special("l", tarfile.LNKTYPE, "not-in-it"))],
        [("d", special("d", tarfile.CHRTYPE))],
        [("d", special("d", tarfile.BLKTYPE))],
        [("d", special("d", tarfile.FIFOTYPE))],
        # Each link is inside by its letters; followed one after the other they lead out.
        [
            ("d1/d2/s", special("d1/d2/s", tarfile.SYMTYPE, "../..")),
            ("out", special("out", tarfile.SYMTYPE, "d1/d2/s/..")),
        ],
        # A link, then a link through it, or a folder.
        [
            ("d", special("d", tarfile.SYMTYPE, "..")),
            ("d/evil", special("d/evil", tarfile.SYMTYPE, "x")),
        ],
        [
            ("d", special("d", tarfile.SYMTYPE, "..")),
            ("d/new/evil", special("d/new/evil", tarfile.SYMTYPE, "x")),
        ],
        # A link, then a file through it.
        [("l", special("l", tarfile.SYMTYPE, "..")), ("l/evil", b"x")],
    ],
)
def test_nothing_gets_out(
    tmp_path: Path, entries: list[tuple[str, bytes | tarfile.TarInfo]]
) -> None:
    into = tmp_path / "deep" / "into"
    into.mkdir(parents=True)
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(into)}
    try:
        unpack(io.BytesIO(tar(dict(entries))), into)
    except ArchiveError as exc:
        assert "unsafe" in exc.message
    else:
        # The file took the link's place: that is safe too.
        assert not any(path.is_symlink() for path in into.rglob("*"))
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(into)} == before


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None
)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(["a", "b", "..", ".", "l", ""]), min_size=1, max_size=4),
            st.one_of(
                st.none(),
                st.lists(st.sampled_from(["a", "b", "..", "l", ""]), min_size=1, max_size=4),
            ),
        ),
        max_size=6,
    )
)
def test_nothing_ever_gets_out(
    tmp_path: Path, entries: list[tuple[list[str], list[str] | None]]
) -> None:
    """Whatever names and links an archive has: files land inside, links lead inside."""
    into = tmp_path / os.urandom(6).hex() / "deep" / "into"
    into.mkdir(parents=True)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for parts, target in entries:
            name = "/".join(parts)
            if target is None:
                info = tarfile.TarInfo(name)
                info.size = 1
                archive.addfile(info, io.BytesIO(b"x"))
            else:
                archive.addfile(special(name, tarfile.SYMTYPE, "/".join(target)))
    try:
        unpack(buffer, into)
    except (ArchiveError, OSError):
        pass
    else:
        for path in into.rglob("*"):
            assert not path.is_symlink() or Path(os.path.realpath(path)).is_relative_to(
                into.resolve()
            )
    assert [path.name for path in into.parent.iterdir()] == ["into"]
    assert [path.name for path in into.parent.parent.iterdir()] == ["deep"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive at all",
        tar({"x": b"y" * 5000})[:-60],
        tar({"x": os.urandom(5000)}, compression="xz")[:-60],
        tar({"x": os.urandom(5000)}, compression="bz2")[:2000],
        b"PK\x03\x04" + b"x" * 100,
    ],
)
def test_damage_is_an_error_of_ours(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ArchiveError):
        unpack(io.BytesIO(data), tmp_path)


class TestFindBinaries:
    def tree(self, root: Path, files: dict[str, bytes]) -> Path:
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o755 if content.startswith(b"\x7fELF") else 0o644)
        return root

    @pytest.mark.parametrize(
        ("files", "name", "found"),
        [
            ({"loki": program()}, "loki", "loki"),
            ({"bin/loki": program(), "loki": b"a document"}, "loki", "bin/loki"),
            ({"loki": program(), "old/loki": program()}, "loki", "loki"),
            ({"a/loki": program(), "b/loki": program()}, "a/loki", "a/loki"),
            ({"loki-linux-amd64": program()}, "loki-linux-*", "loki-linux-amd64"),
            # zip files often know no modes.
            ({"loki": b"no mode"}, "loki", "loki"),
        ],
    )
    def test_found(self, tmp_path: Path, files: dict[str, bytes], name: str, found: str) -> None:
        self.tree(tmp_path, files)
        assert find_binaries(tmp_path, {name: "/usr/local/bin/x"}) == {
            "/usr/local/bin/x": tmp_path / found
        }

    @pytest.mark.parametrize(
        ("files", "name", "message"),
        [
            ({"promtail": program()}, "loki", "has no file 'loki'.*promtail"),
            ({"xloki": program()}, "loki", "has no file"),
            ({"a/loki": program(), "b/loki": program()}, "loki", "several files 'loki'"),
        ],
    )
    def test_refused(
        self, tmp_path: Path, files: dict[str, bytes], name: str, message: str
    ) -> None:
        self.tree(tmp_path, files)
        with pytest.raises(ArchiveError, match=message):
            find_binaries(tmp_path, {name: "/usr/local/bin/x"})


def test_a_program_for_another_machine_is_refused(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_bytes(program("arm64"))
    check_machine(tool, architecture="arm64")
    with pytest.raises(ArchiveError, match="built for arm64, this host is amd64"):
        check_machine(tool, architecture="amd64")
    tool.write_bytes(b"#!/bin/sh\necho a script runs anywhere\n")
    check_machine(tool, architecture="amd64")


def test_architectures_by_debians_names() -> None:
    assert host_architecture("x86_64") == "amd64"
    assert host_architecture("aarch64") == "arm64"
    assert host_architecture("loongarch64") == "loongarch64"
