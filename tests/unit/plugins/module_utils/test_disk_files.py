# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a policy deletes, and what never."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._disk_file_policy import (
    Freed,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_open import (
    OpenFiles,
    open_files,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_places import shown
from ansible_collections.koprogo.observability.plugins.module_utils._disk_space import Amount
from tests.unit.plugins.module_utils.disk_lab import DAY, names, policy, workers, write


def clean(root: Path, *, need: Amount | None = None, **options: Any) -> Freed:
    """Plan, carry out, and hold the prediction against what was freed."""
    [files] = workers([policy(root, **options)])
    predicted = files.plan(need)
    freed = files.execute(OpenFiles())
    assert freed == predicted
    return freed


def test_only_old_files_of_the_name_go(tmp_path: Path) -> None:
    write(tmp_path / "a.log")
    write(tmp_path / "deep" / "er" / "b.log")
    write(tmp_path / "young.log", days=29)
    write(tmp_path / "a.txt")
    assert clean(tmp_path).files == 2
    assert names(tmp_path) == {"young.log", "a.txt"}


def test_the_oldest_go_first_and_no_more_than_needed(tmp_path: Path) -> None:
    for days in (31, 60, 50, 40):
        write(tmp_path / f"{days}.log", days=days)
    freed = clean(tmp_path, need=Amount(bytes=5000))
    assert freed == Freed(bytes=8192, inodes=2, files=2)
    assert names(tmp_path) == {"31.log", "40.log"}


@pytest.mark.parametrize(
    ("caps", "left"), [({"max_files": 1}, 2), ({"max_bytes": 8192}, 1), ({"max_bytes": 100}, 3)]
)
def test_caps_hold(tmp_path: Path, caps: dict[str, Any], left: int) -> None:
    for days in (31, 32, 33):
        write(tmp_path / f"{days}.log", days=days)
    assert clean(tmp_path, **caps).capped
    assert len(names(tmp_path)) == left


def test_no_link_is_followed(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside" / "a.log")
    root = tmp_path / "root"
    root.mkdir()
    (root / "folder").symlink_to(outside.parent)
    (root / "file.log").symlink_to(outside)
    os.utime(root / "file.log", (1, 1), follow_symlinks=False)
    assert clean(root).files == 0
    assert outside.exists()


def test_a_root_behind_a_link_is_not_entered(tmp_path: Path) -> None:
    write(tmp_path / "real" / "a.log")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    [files] = workers([policy(tmp_path / "link")])
    assert files.plan(None) == Freed()
    assert str(tmp_path / "link") in files.skipped


def test_a_database_is_not_entered(tmp_path: Path) -> None:
    write(tmp_path / "root" / "pg" / "PG_VERSION")
    write(tmp_path / "root" / "pg" / "log" / "a.log")
    write(tmp_path / "root" / "PG_15_202209061" / "b.log")
    # A write-ahead log that is kept elsewhere.
    write(tmp_path / "root" / "wal" / "000000010000000000000001.log")
    (tmp_path / "root" / "wal" / "archive_status").mkdir()
    [files] = workers([policy(tmp_path / "root")])
    assert files.plan(None) == Freed()
    assert set(files.skipped.values()) == {"database"}
    # Nor from within.
    [files] = workers([policy(tmp_path / "root" / "pg" / "log")])
    assert files.plan(None) == Freed()


def test_another_file_system_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "a.log")
    [files] = workers([policy(tmp_path)])
    files.device += 1
    assert files.plan(None) == Freed()
    assert files.skipped == {str(tmp_path): "other_file_system"}


def test_a_mount_point_of_the_same_file_system_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "bound" / "a.log")
    [files] = workers([policy(tmp_path)])
    files.places = type(files.places)(mounts=frozenset({str(tmp_path / "bound")}))
    assert files.plan(None) == Freed()
    assert files.skipped == {str(tmp_path / "bound"): "mount"}


@contextlib.contextmanager
def opened_by_another(written: Path, read: Path) -> Iterator[None]:
    """A process has one file open for writing and another one for reading."""
    command = f"exec 3>>{written} 4<{read}; echo ready; read line"
    with subprocess.Popen(
        ["bash", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
        process.communicate(b"\n")


def test_open_files_stay(tmp_path: Path) -> None:
    written, read = write(tmp_path / "written.log"), write(tmp_path / "read.log")
    write(tmp_path / "free.log")
    with opened_by_another(written, read):
        found = open_files()
        [files] = workers([policy(tmp_path)], found)
        assert files.plan(None).files == 1
        files.execute(found)
    assert names(tmp_path) == {"written.log", "read.log"}
    assert files.skipped == {str(written): "open_for_writing", str(read): "open"}


def test_who_follows_the_journal_keeps_no_file_of_it(tmp_path: Path) -> None:
    written, read = write(tmp_path / "a@1.journal"), write(tmp_path / "a@2.journal")
    journal = policy(tmp_path, kind="journal", patterns=("*@*.journal",), older_than=7 * DAY)
    with opened_by_another(written, read):
        found = open_files()
        [files] = workers([journal], found)
        assert files.plan(None).files == 1
        files.execute(found)
    assert names(tmp_path) == {"a@1.journal"}
    assert files.skipped == {str(written): "open_for_writing"}


def test_a_file_with_another_name_is_never_emptied(tmp_path: Path) -> None:
    path = write(tmp_path / "logs" / "api.log", days=0, kib=64)
    wish = policy(tmp_path / "logs", truncate_open=True, truncate_above=1024)
    with path.open("ab"):
        found = OpenFiles(mapped={(path.stat().st_dev, path.stat().st_ino)})
        [files] = workers([wish], found)
        assert files.plan(None).bytes == 65536
        # A snapshot is made between the look and the deed.
        (tmp_path / "snapshot").hardlink_to(path)
        assert files.execute(found).bytes == 0
        assert files.skipped == {str(path): "no_longer_written"}
        [files] = workers([wish], found)
        assert files.plan(None).bytes == 0
    assert path.stat().st_size == 65536


def test_a_file_being_written_is_emptied_only_on_request(tmp_path: Path) -> None:
    path = write(tmp_path / "api.log", days=0, kib=64)
    with path.open("ab"):
        found = OpenFiles(mapped={(path.stat().st_dev, path.stat().st_ino)})
        [files] = workers([policy(tmp_path)], found)
        assert files.plan(None) == Freed()
        [files] = workers([policy(tmp_path, truncate_open=True, truncate_above=1024)], found)
        assert files.plan(None).bytes == 65536
        assert files.execute(found).bytes == 65536
    assert path.stat().st_size == 0
    assert files.truncated == [{"path": str(path), "bytes": 65536}]


def test_a_file_with_a_name_elsewhere_stays(tmp_path: Path) -> None:
    root = tmp_path / "root"
    inside = write(root / "both" / "a.log", kib=8)
    (root / "b.log").hardlink_to(inside)
    shared = write(root / "shared.log", kib=16)
    (tmp_path / "kept").hardlink_to(shared)
    assert clean(root) == Freed(bytes=8192, inodes=1, files=2)
    assert names(tmp_path) == {"root/shared.log", "kept"}


def test_the_newest_backups_and_the_newest_verified_one_stay(tmp_path: Path) -> None:
    for days in range(10, 20):
        write(tmp_path / "db" / f"{days}.gpg", days=days)
    write(tmp_path / "db" / "15.gpg.verified", days=1)
    write(tmp_path / "db" / "17.gpg.verified", days=1)
    write(tmp_path / "other" / "old.gpg", days=400)
    freed = clean(
        tmp_path,
        patterns=("*.gpg",),
        older_than=7 * DAY,
        keep_newest=2,
        verified_suffix=".verified",
    )
    assert freed.files == 7
    kept = {"db/10.gpg", "db/11.gpg", "db/15.gpg", "other/old.gpg"}
    assert {name for name in names(tmp_path) if name.endswith(".gpg")} == kept


def test_what_one_policy_keeps_no_other_deletes(tmp_path: Path) -> None:
    for days in (40, 50):
        write(tmp_path / f"{days}.gpg", days=days)
    backups = policy(tmp_path, kind="backups", patterns=("*.gpg",), keep_newest=1)
    everything = policy(tmp_path, patterns=("*",))
    first, second = workers([everything, backups])
    assert first.plan(None).files == 1
    assert second.plan(None).files == 0
    first.execute(OpenFiles())
    assert names(tmp_path) == {"40.gpg"}


def test_what_one_policy_takes_no_other_counts(tmp_path: Path) -> None:
    write(tmp_path / "a.log")
    write(tmp_path / "b.txt")
    first, second = workers([policy(tmp_path), policy(tmp_path, patterns=("*",))])
    assert (first.plan(None).files, second.plan(None).files) == (1, 1)


def test_names_in_two_policies_go_with_the_one_that_sees_both(tmp_path: Path) -> None:
    inside = write(tmp_path / "logs" / "b.log", days=60)
    write(tmp_path / "logs" / "c.log", days=40)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.log").hardlink_to(inside)
    made = workers([policy(tmp_path / "logs"), policy(tmp_path / "other", tmp_path / "logs")])
    predicted = [files.plan(None) for files in made]
    assert [freed.files for freed in predicted] == [1, 2]
    assert [files.execute(OpenFiles()) for files in made] == predicted


def test_a_replaced_file_stays(tmp_path: Path) -> None:
    path = write(tmp_path / "a.log")
    [files] = workers([policy(tmp_path)])
    assert files.plan(None).files == 1
    path.unlink()
    write(path, days=0)
    assert files.execute(OpenFiles()).files == 0
    assert path.exists()


def test_a_file_that_is_opened_meanwhile_stays(tmp_path: Path) -> None:
    path = write(tmp_path / "a.log")
    [files] = workers([policy(tmp_path)])
    files.plan(None)
    now = OpenFiles(mapped={(path.stat().st_dev, path.stat().st_ino)})
    assert files.execute(now).files == 0


def test_files_that_come_meanwhile_do_not_break_the_caps(tmp_path: Path) -> None:
    write(tmp_path / "a.log", days=50)
    [files] = workers([policy(tmp_path, max_files=1)])
    files.plan(None)
    for number in range(5):
        write(tmp_path / f"new{number}.log", days=60)
    assert files.execute(OpenFiles()).files == 1


def test_a_folder_that_becomes_a_link_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exchange happens between the look at a file and its unlink."""
    write(tmp_path / "root" / "sub" / "a.log")
    precious = write(tmp_path / "precious" / "a.log")
    [files] = workers([policy(tmp_path / "root")])
    files.plan(None)
    real = os.unlink

    def exchange(name: str, *, dir_fd: int) -> None:
        (tmp_path / "root" / "sub").rename(tmp_path / "moved")
        (tmp_path / "root" / "sub").symlink_to(precious.parent)
        real(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", exchange)
    assert files.execute(OpenFiles()).files == 1
    assert precious.exists()
    assert names(tmp_path / "moved") == set()


def test_names_of_any_bytes_go_and_are_shown(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    for name in (b"new\nline.log", b"caf\xe9.log", b"-rf *.log"):
        write(Path(os.fsdecode(folder + b"/" + name)))
    [files] = workers([policy(tmp_path)])
    files.plan(None)
    assert files.execute(OpenFiles()).files == 3
    paths = {row["path"].removeprefix(f"{tmp_path}/") for row in files.evidence()["deleted"]}
    assert paths == {"new\nline.log", r"caf\xe9.log", "-rf *.log"}
    assert shown(os.fsdecode(b"\xff")) == r"\xff"


def test_evidence_is_bounded(tmp_path: Path) -> None:
    for number in range(120):
        write(tmp_path / f"{number}.log", kib=4 + 4 * (number % 3))
    [files] = workers([policy(tmp_path)])
    files.plan(None)
    assert files.execute(OpenFiles()).files == 120
    rows = files.evidence()["deleted"]
    assert len(rows) == 50
    assert rows[0]["bytes"] == 12288
    assert rows[-1]["bytes"] >= 8192
