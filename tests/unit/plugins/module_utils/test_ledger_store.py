# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger's lines: torn, damaged, and on a disk that is full."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.koprogo.observability.plugins.module_utils import _ledger_store
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_lines import to_json
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_store import (
    LedgerError,
    Store,
)


class FullDisk:
    """The C(os) of the module, on which the ledger's file system takes no new byte."""

    def __init__(self, *full: Path) -> None:
        self.full = [str(path) for path in full]
        self.room = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        end = os.fstat(descriptor).st_size
        if path in self.full and offset + len(data) > end:
            if self.room:
                return os.pwrite(descriptor, data[: self.room], offset)
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.pwrite(descriptor, data, offset)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(
        str(tmp_path / "var" / "ledger.jsonl"),
        memory=[str(tmp_path / "run" / "ledger.jsonl"), str(tmp_path / "shm" / "ledger.jsonl")],
        reserve_bytes=1024,
    )


def names(store: Store) -> list[str]:
    return [entry["name"] for entry in store.read().entries]


def test_entries_come_back_in_order(store: Store) -> None:
    for name in "abc":
        place, entry = store.append({"name": name})
        assert place == store.path
    assert entry["seq"] == 3
    assert names(store) == ["a", "b", "c"]
    assert store.read().damaged == []


def test_a_torn_last_line_is_reported_and_healed(store: Store) -> None:
    store.append({"name": "a"})
    with Path(store.path).open("ab") as file:
        file.write(b'{"name":"b","uid"')
    assert store.read().torn == 17
    assert names(store) == ["a"]
    store.append({"name": "c"})
    assert names(store) == ["a", "c"]
    assert (store.read().torn, store.read().damaged) == (0, [])


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [lines[0], lines[1].replace(b"b", b"X"), lines[2]],
        lambda lines: [lines[0], b"garbage\n", lines[2]],
        lambda lines: [lines[0], lines[2]],
        lambda lines: [lines[0], lines[0], lines[2]],
        lambda lines: [lines[0], b"[]\n", lines[2]],
    ],
)
def test_damage_in_the_middle_is_found(store: Store, damage: Any) -> None:
    for name in "abc":
        store.append({"name": name})
    path = Path(store.path)
    path.write_bytes(b"".join(damage(path.read_bytes().splitlines(keepends=True))))
    assert store.read().damaged == [2] or store.read().damaged == [2, 3]
    assert "c" in names(store)
    store.append({"name": "d"})
    assert names(store)[-1] == "d"


def test_a_full_disk_takes_entries_into_the_reserve(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append({"name": "a"})
    assert store.provide()
    monkeypatch.setattr(_ledger_store, "os", FullDisk(Path(store.path)))
    assert store.append({"name": "b"})[0] == store.reserve
    assert store.append({"name": "c"})[0] == store.reserve
    assert names(store) == ["a", "b", "c"]
    assert Path(store.reserve).stat().st_size == 1024

    monkeypatch.undo()
    assert store.append({"name": "d"})[0] == store.path
    assert names(store) == ["a", "b", "c", "d"]
    assert store.read().stored == {"ledger": 4}
    assert set(Path(store.reserve).read_bytes()) == {0}


def test_a_used_up_reserve_leads_to_memory_and_all_is_merged(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.provide()
    monkeypatch.setattr(_ledger_store, "os", FullDisk(Path(store.path)))
    places = [store.append({"name": str(number)})[0] for number in range(10)]
    assert store.reserve in places
    assert places[-1].endswith("run/ledger.jsonl")
    assert names(store) == [str(number) for number in range(10)]
    monkeypatch.undo()
    store.append({"name": "10"})
    assert names(store) == [str(number) for number in range(11)]
    assert store.read().stored == {"ledger": 11}
    assert store.read().damaged == []


def test_a_half_written_line_is_taken_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.append({"name": "a"})
    disk = FullDisk(Path(store.path))
    disk.room = 20
    real = disk.pwrite
    monkeypatch.setattr(_ledger_store, "os", disk)

    def once(descriptor: int, data: bytes, offset: int) -> int:
        written = real(descriptor, data, offset)
        disk.room = 0
        return written

    monkeypatch.setattr(disk, "pwrite", once, raising=False)
    assert store.append({"name": "b"})[0].endswith("run/ledger.jsonl")
    assert Store(store.path).read().torn == 0


def test_moved_entries_are_not_counted_twice(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ledger_store, "os", FullDisk(Path(store.path)))
    store.append({"name": "a"})
    monkeypatch.undo()
    # The process dies between the move and the clearing.
    monkeypatch.setattr(Store, "_clear", lambda self, path: None)
    store.append({"name": "b"})
    assert names(store) == ["a", "b"]
    monkeypatch.undo()
    store.append({"name": "c"})
    assert names(store) == ["a", "b", "c"]


def test_nothing_takes_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(store.path).parent.parent
    monkeypatch.setattr(
        _ledger_store,
        "os",
        FullDisk(Path(store.path), *(folder / name / "ledger.jsonl" for name in ("run", "shm"))),
    )
    with pytest.raises(LedgerError, match=r"ledger\.jsonl: No space left"):
        store.append({"name": "a"})


def test_a_link_or_a_strangers_file_in_memory_is_not_used(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_text("precious", encoding="utf-8")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "ledger.jsonl").symlink_to(target)
    (tmp_path / "shm").mkdir()
    (tmp_path / "shm").chmod(0o777)
    monkeypatch.setattr(_ledger_store, "os", FullDisk(Path(store.path)))
    with pytest.raises(LedgerError, match="not a folder of our own"):
        store.append({"name": "a"})
    assert target.read_text(encoding="utf-8") == "precious"


def test_names_that_are_not_utf8_survive(store: Store) -> None:
    name = os.fsdecode(b"caf\xe9\n.log")
    store.append({"name": name})
    assert names(store) == [name]
    assert to_json({"name": name}).isascii()


# The end, by the head


def cut(path: str, count: int) -> None:
    """Take lines from the end, as a file that was put back or copied half does."""
    file = Path(path)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[: len(lines) - count]))


def crash_before_the_head(store: Store, name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "_note_head", lambda *_arguments, **_options: None)
        store.append({"name": name})


def test_lines_that_are_gone_from_the_end_are_noticed(store: Store) -> None:
    for name in "abcde":
        store.append({"name": name})
    assert store.read().end == ""
    cut(store.path, 2)
    assert store.read().end == "its last entry is 3, and 5 were written: the end is missing"
    # What comes next does not take the place of what is gone.
    assert store.append({"name": "f"})[1]["seq"] == 6


def test_a_crash_between_line_and_head_is_no_loss(store: Store) -> None:
    store.append({"name": "a"})
    crash_before_the_head(store, "b")
    assert store.read().end == ""
    store.append({"name": "c"})
    assert (store.read().end, names(store)) == ("", ["a", "b", "c"])
    # No crash leaves it further behind: somebody put an old head back.
    crash_before_the_head(store, "d")
    crash_before_the_head(store, "e")
    for _number in range(2):
        assert (
            store.read().end
            == "its head, entry 3, is of another ledger than its last entry, "
            + str(len(names(store)))
        )
        store.append({"name": "f"})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda head: head.unlink(), "its head is missing"),
        (lambda head: head.write_bytes(b""), "its head is damaged"),
        (lambda head: head.write_bytes(b'{"seq":"2","uid":"x"}'), "its head is damaged"),
        (lambda head: head.write_bytes(b'{"seq":2,"uid":"x"}'), "is of another ledger"),
        (lambda head: head.write_bytes(b'{"seq":0,"uid":"x"}'), "is of another ledger"),
    ],
)
def test_a_head_that_does_not_hold_is_told_until_a_human_has_looked(
    store: Store, damage: Any, said: str
) -> None:
    for name in "ab":
        store.append({"name": name})
    damage(Path(store.head))
    assert said in store.read().end
    # What is written then does not hide it.
    store.append({"name": "c"})
    assert said in store.read().end
    store.append({"name": "looked"}, renew=True)
    assert store.read().end == ""


def test_the_head_needs_no_room(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.append({"name": "a"})
    store.provide()
    before = Path(store.head).stat()
    monkeypatch.setattr(_ledger_store, "os", FullDisk(Path(store.path), Path(store.head)))
    for number in range(8):
        store.append({"name": str(number)})
        assert store.read().end == ""
    after = Path(store.head).stat()
    assert (after.st_size, after.st_ino) == (before.st_size, before.st_ino)
    # It remembers what memory forgot, too.
    Path(store.path).parent.parent.joinpath("run", "ledger.jsonl").unlink()
    assert "the end is missing" in store.read().end


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.sampled_from(["append", "full", "crash", "provide"]), max_size=12),
    gone=st.integers(min_value=0, max_value=20),
)
def test_a_loss_at_the_end_is_told_from_a_crash(steps: list[str], gone: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(
            f"{folder}/var/ledger.jsonl", memory=[f"{folder}/run/ledger.jsonl"], reserve_bytes=512
        )
        store.append({"name": "first"})
        ahead = 0
        for step in steps:
            if step == "provide":
                store.provide()
            elif step == "crash" and not ahead:
                crash_before_the_head(store, step)
                ahead = 1
            else:
                with pytest.MonkeyPatch.context() as patch:
                    if step == "full":
                        patch.setattr(_ledger_store, "os", FullDisk(Path(store.path)))
                    store.append({"name": step})
                ahead = 0
            assert store.read().end == ""
        # Moves everything to the ledger.
        store.append({"name": "last"})
        count = len(store.read().entries)
        gone = min(gone, count)
        cut(store.path, gone)
        assert bool(store.read().end) == bool(gone)
        assert store.append({"name": "next"})[1]["seq"] == count + 1
