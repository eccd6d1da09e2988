# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import io
import os
from pathlib import Path

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._archive import ArchiveError
from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._tree import Tree, Version
from tests.unit.plugins.module_utils.install_lab import names, program, sha256, tar

BINARIES = {"tool": "/usr/local/bin/tool", "toolctl": "/usr/local/bin/tctl"}


@functools.cache  # gzip notes the time: made again it would be another file
def archive(version: str, architecture: str = "amd64") -> bytes:
    top = f"tool-{version}.linux"
    return tar(
        {
            f"{top}/tool": program(architecture, version.encode()),
            f"{top}/bin/toolctl": program(architecture, b"ctl" + version.encode()),
            f"{top}/LICENSE": b"free",
        }
    )


def add(tree: Tree, version: str, *, label: str | None = None) -> Version:
    data = archive(version)
    return tree.add(
        io.BytesIO(data),
        sha256=sha256(data),
        version=version if label is None else label,
        binaries=BINARIES,
    )


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    monkeypatch.setattr(os, "sync", lambda: None)
    return Tree(tmp_path / "opt/koprogo/tool", architecture="amd64")


def test_nothing_there(tree: Tree) -> None:
    assert tree.active() is None
    assert tree.find("0" * 64) is None
    assert not tree.remove()


def test_all_programs_change_by_one_link(tree: Tree) -> None:
    one, two = add(tree, "1.0"), add(tree, "2.0")
    for version, text in ((one, b"1.0"), (two, b"2.0"), (one, b"1.0")):
        tree.use(version)
        assert tree.active() == version
        for link in BINARIES.values():
            assert Path(tree.link_target(link)).read_bytes().endswith(text)
            assert os.access(tree.link_target(link), os.X_OK)
    assert tree.find(two.sha256) == two


def test_names(tree: Tree) -> None:
    assert add(tree, "1.0").folder == "1.0"
    assert add(tree, "1.1", label="1.0").folder == f"1.0-{sha256(archive('1.1'))[:8]}"
    assert add(tree, "1.2", label="").folder == sha256(archive("1.2"))[:8]
    assert add(tree, "1.3", label="current").folder == sha256(archive("1.3"))[:8]
    with pytest.raises(InputError, match="version: expected"):
        add(tree, "1.4", label="../../etc")


@pytest.mark.parametrize("data", [b"damaged", archive("1.0", "arm64"), tar({"other": b"x"})])
def test_what_cannot_be_used_leaves_no_trace(tree: Tree, data: bytes) -> None:
    before = add(tree, "0.9")
    tree.use(before)
    with pytest.raises(ArchiveError):
        tree.add(io.BytesIO(data), sha256=sha256(data), version="1.0", binaries=BINARIES)
    assert names(tree.root) == ["0.9", "current"]
    assert tree.active() == before


def test_a_reserved_name_in_the_archive(tree: Tree) -> None:
    data = tar({"tool": program(), "toolctl": program(), ".koprogo/tree.json": b"{}"})
    with pytest.raises(ArchiveError, match="reserved"):
        tree.add(io.BytesIO(data), sha256=sha256(data), version="1", binaries=BINARIES)


def test_killed_while_unpacking(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SIGKILL leaves an unnamed folder: never a version, and the next run removes it."""
    with monkeypatch.context() as patch:
        patch.setattr(_io, "move", lambda *_a: os._exit(9))
        pid = os.fork()
        if pid == 0:
            add(tree, "1.0")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert [name[:5] for name in names(tree.root)] == [".new-"]
    assert tree.find(sha256(archive("1.0"))) is None
    tree.use(add(tree, "1.0"))
    assert names(tree.root) == ["1.0", "current"]


def test_a_version_without_our_description_is_not_ours(tree: Tree) -> None:
    foreign = tree.root / "by-hand"
    foreign.mkdir(parents=True)
    (foreign / "tool").write_bytes(b"x")
    tree.use(add(tree, "1.0"))
    add(tree, "2.0")
    assert tree.prune(keep={"1.0"}) == ["2.0"]
    assert names(tree.root) == ["1.0", "by-hand", "current"]
    assert tree.remove()
    assert names(tree.root) == ["by-hand"]


def test_removal_of_all(tree: Tree) -> None:
    tree.use(add(tree, "1.0"))
    assert tree.remove()
    assert not tree.root.parent.exists()


def test_other_programs_of_the_same_archive(tree: Tree) -> None:
    version = add(tree, "1.0")
    tree.use(version)
    tree.name_programs(version, {"tool": "/usr/local/bin/renamed"})
    active = tree.active()
    assert active is not None
    assert active.wanted == {"tool": "/usr/local/bin/renamed"}
    assert names(tree.root / "1.0/.koprogo/links") == ["renamed"]


def test_ownership_of_links(tree: Tree, tmp_path: Path) -> None:
    tree.use(add(tree, "1.0"))
    link = tmp_path / "tool"
    link.symlink_to(tree.link_target("/usr/local/bin/tool"))
    assert tree.owns(link)
    link.unlink()
    link.symlink_to("/opt/other/tool")
    assert not tree.owns(link)
