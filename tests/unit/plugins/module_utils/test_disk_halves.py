# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second process answers or is done without, and ends; names are told apart as fnmatch does."""

from __future__ import annotations

import fnmatch
import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.koprogo.observability.plugins.module_utils._disk_files import Files
from ansible_collections.koprogo.observability.plugins.module_utils._disk_halves import (
    beside,
    half_of,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_open import OpenFiles
from ansible_collections.koprogo.observability.plugins.module_utils._disk_places import (
    counts_folders,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_select import named
from ansible_collections.koprogo.observability.plugins.module_utils._errors import KoprogoError
from tests.unit.plugins.module_utils.disk_lab import names, policy, workers, write


def _children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")


def test_a_second_process_answers() -> None:
    with beside(lambda: (os.getpid(), {"caf\udce9": [1 << 90]}), repeatable=False) as other:
        pid, answer = other()
    assert pid != os.getpid()
    assert answer == {"caf\udce9": [1 << 90]}


def test_nobody_waits_for_a_second_process_after_a_failure() -> None:
    before = _children()
    with pytest.raises(ZeroDivisionError), beside(lambda: time.sleep(60), repeatable=True):
        assert _children() != before
        raise ZeroDivisionError
    assert _children() == before


def test_work_is_done_here_if_the_second_process_dies_or_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = os.getpid()

    def work() -> tuple[int, bytes]:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid(), b""

    with beside(work, repeatable=True) as other:
        assert other() == (here, b"")
    with (
        pytest.raises(KoprogoError, match="never told what it had deleted"),
        beside(work, repeatable=False) as other,
    ):
        other()

    def full() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", full)
    for number in range(100):
        write(tmp_path / f"{number % 10}/{number}.log")
    [files] = workers([policy(tmp_path)])
    assert files.plan(None).files == 100
    assert files.execute(OpenFiles()).files == 100
    assert names(tmp_path) == set()


def test_what_the_second_process_sees_is_reported(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{number % 10}/{number}.log") for number in range(100)]
    opened = OpenFiles(mapped={(path.stat().st_dev, path.stat().st_ino) for path in paths[::2]})
    [files] = workers([policy(tmp_path)], opened)
    assert files.plan(None).files == 50
    assert set(files.skipped) == {str(path) for path in paths[::2]}
    assert {half_of(str(path.parent)) for path in paths[::2]} == {0, 1}
    [files] = workers([policy(tmp_path, truncate_open=True)], opened)
    assert files.plan(None).bytes == 100 * 4096


@given(
    patterns=st.lists(
        st.sampled_from(["*.log", "*", "*.gz", "a*", "*.l?g", "*[x", "*.lo*", "x.log", "*]"]),
        min_size=1,
        max_size=3,
    ),
    name=st.lists(
        st.sampled_from(["a", "x", ".log", ".lag", ".gz", ".l?g", "[x", "]", "*", "\n", "\udce9"]),
        max_size=3,
    ).map("".join),
)
def test_names_fit_as_fnmatch_says(patterns: list[str], name: str) -> None:
    assert bool(named(patterns)(name)) == any(fnmatch.fnmatchcase(name, p) for p in patterns)


def test_no_pattern_fits_nothing() -> None:
    assert not named(())("a.log")
    assert not named(())("")


@pytest.mark.parametrize("counted", [True, False])
def test_folders_in_the_others_folders_are_found(tmp_path: Path, counted: bool) -> None:
    for number in range(40):
        write(tmp_path / f"{number}/a/b/{number}.log")
        write(tmp_path / f"{number}/a/{number}.log")
    [files] = workers([policy(tmp_path)])
    # Where links are not counted each folder has to be read.
    files.halves, files._counted = (0, 1), counted and counts_folders(tmp_path.stat().st_dev)
    assert files.plan(None).files == 80
    assert files.execute(OpenFiles()).files == 80


def test_which_file_systems_count_folders(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    rows = (
        "29 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw",
        "36 29 0:33 / /srv rw - btrfs /dev/sdb rw",
    )
    (tmp_path / "self/mountinfo").write_text("\n".join(rows) + "\n", encoding="ascii")
    known = [os.makedev(8, 1), os.makedev(0, 33), os.makedev(0, 99)]
    assert [counts_folders(one, str(tmp_path)) for one in known] == [True, False, False]


def test_the_second_process_ends_with_the_first(tmp_path: Path) -> None:
    for number in range(100):
        write(tmp_path / f"{number}/{number}.log")
    [files] = workers([policy(tmp_path)])
    files.halves = (0, 1)
    assert files.plan(None).files == 100
    reader, writer = os.pipe()
    if not (first := os.fork()):
        with beside(lambda: _slowly(files, writer), repeatable=False):
            os.read(reader, 1)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(first, 0)
    os.close(writer)
    # The pipe ends when nobody holds it any more.
    while os.read(reader, 1):
        pass
    os.close(reader)
    assert 50 < len(names(tmp_path)) < 100


def _slowly(files: Files, writer: int) -> None:
    real = os.unlink

    def unlink(name: str, *, dir_fd: int) -> None:
        real(name, dir_fd=dir_fd)
        os.write(writer, b".")
        time.sleep(0.05)

    # Of this process, which is about to end.
    vars(os)["unlink"] = unlink
    files._second_half()
