"""The file layer: whole or not at all, links never followed."""

from __future__ import annotations

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    LockedError,
    NoSpaceError,
)


def test_a_file_is_private_until_it_has_its_mode(tmp_path: Path) -> None:
    modes = []
    real = os.fchmod

    def spy(descriptor: int, mode: int) -> None:
        modes.append((os.fstat(descriptor).st_mode & 0o777, os.fstat(descriptor).st_size))
        real(descriptor, mode)

    with mock.patch.object(os, "fchmod", spy):
        _io.create_file(str(tmp_path / "f"), b"secret", mode=0o644)
    assert modes == [(0o600, 0)]
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o644


def test_write_atomic_replaces_or_leaves(tmp_path: Path) -> None:
    target = tmp_path / "f"
    target.write_text("old")
    with (
        mock.patch.object(os, "write", side_effect=OSError(errno.ENOSPC, "full")),
        pytest.raises(OSError, match="full"),
    ):
        _io.write_atomic(str(target), b"new", mode=0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert target.read_text() == "old"
    _io.write_atomic(str(target), b"new", mode=0o600)
    assert target.read_text() == "new"


def test_nothing_is_created_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "l").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        _io.create_file(str(tmp_path / "l"), b"", mode=0o600)
    assert not (tmp_path / "elsewhere").exists()


def test_reading_neither_follows_nor_waits(tmp_path: Path) -> None:
    (tmp_path / "l").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "p")
    for name in ("l", "p"):
        with pytest.raises(OSError, match=r"."):
            _io.read_bytes(str(tmp_path / name))


def test_scan_describes_without_following(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("x")
    (tmp_path / "d" / "g").write_text("y")
    (tmp_path / "out").symlink_to("/etc")
    found = _io.scan(str(tmp_path), contents={"d/f"})
    assert {path: entry.kind for path, entry in found.items()} == {
        "d": "directory",
        "d/f": "file",
        "d/g": "file",
        "out": "link",
    }
    assert found["d/f"].digest == _io.sha256(b"x")
    assert found["d/g"].digest == ""
    assert found["out"].target == "/etc"


def test_remove_tree_stays_inside(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "f").write_text("x")
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "link").symlink_to(precious)
    assert _io.remove_tree(str(tree))
    assert not tree.exists()
    assert (precious / "f").exists()
    (tmp_path / "link").symlink_to(precious)
    assert not _io.remove_tree(str(tmp_path / "link"))
    assert (precious / "f").exists()


def test_make_link_never_leaves_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "l"
    _io.make_link("one", str(path))
    _io.make_link("two", str(path))
    assert str(path.readlink()) == "two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["l"]


def test_a_copy_where_a_hard_link_cannot_be(tmp_path: Path) -> None:
    source = tmp_path / "s"
    source.write_text("x")
    source.chmod(0o604)
    entry = _io.lookup(str(source))
    assert entry is not None
    with mock.patch.object(os, "link", side_effect=OSError(errno.EXDEV, "other file system")):
        _io.link_or_copy(str(source), str(tmp_path / "t"), entry)
    assert (tmp_path / "t").read_text() == "x"
    assert (tmp_path / "t").stat().st_mode & 0o777 == 0o604


def test_no_space_tells_bytes(tmp_path: Path) -> None:
    with (
        pytest.raises(
            NoSpaceError, match=r"Cannot do it: the disk quota is used up.*needs 42 bytes"
        ),
        _io.no_space("do it", str(tmp_path / "not" / "there"), needed=42),
    ):
        raise OSError(errno.EDQUOT, "quota")
    with pytest.raises(PermissionError), _io.no_space("do it", str(tmp_path), needed=1):
        raise PermissionError


def test_a_lock_whose_file_its_holder_removed_is_not_shared(tmp_path: Path) -> None:
    """The second waits on the old file; a third must not get a new one beside it."""
    path = str(tmp_path / "lock")
    order = []
    with ThreadPoolExecutor() as pool:
        with _io.locked(path):

            def second() -> None:
                with _io.locked(path, timeout=10):
                    order.append("second")
                    with pytest.raises(LockedError), _io.locked(path, timeout=0):
                        order.append("third")

            waiting = pool.submit(second)
            time.sleep(0.3)
            order.append("first")
            _io.remove_file(path)
        waiting.result(timeout=10)
    assert order == ["first", "second"]
