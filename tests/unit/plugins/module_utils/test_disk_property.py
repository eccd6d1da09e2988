# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For any tree and any policies: nothing else goes, the newest stay, caps hold, the prediction is right."""

from __future__ import annotations

import fnmatch
import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.koprogo.observability.plugins.module_utils._disk_file_policy import (
    FilePolicy,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_open import OpenFiles
from ansible_collections.koprogo.observability.plugins.module_utils._disk_select import (
    Look,
    Tally,
    choose,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_space import Amount
from tests.unit.plugins.module_utils.disk_lab import DAY, NOW, policy, workers, write

_FOLDERS = ("logs", "logs/deep", "logs/deep/er", "backups", "backups/db", "outside")
_FILES = st.fixed_dictionaries(
    {
        "folder": st.sampled_from(_FOLDERS),
        "stem": st.sampled_from(["a", "b", "c", "new\nline", "\udce9", "*", "-x"]),
        "end": st.sampled_from([".log", ".gpg", ".gpg.verified", ""]),
        "days": st.sampled_from([-1.0, 0.0, 6.9, 7.1, 29.0, 31.0, 31.0, 60.0, 400.0]),
        "kib": st.sampled_from([0, 1, 4, 5, 64]),
    }
)
_LINKS = st.tuples(st.integers(0, 30), st.sampled_from(_FOLDERS), st.sampled_from("xyz"))
_POLICIES = st.fixed_dictionaries(
    {
        "roots": st.sets(st.sampled_from(["logs", "logs/deep", "backups"]), min_size=1, max_size=2),
        "patterns": st.sets(st.sampled_from(["*.log", "*.gpg", "*", "a*"]), min_size=1, max_size=2),
        "older_than": st.sampled_from([7 * DAY, 30 * DAY]),
        "keep_newest": st.integers(0, 3),
        "keep_by": st.sampled_from(["directory", "root"]),
        "verified_suffix": st.sampled_from(["", ".verified"]),
        "max_files": st.one_of(st.none(), st.integers(1, 5)),
        "max_bytes": st.one_of(st.none(), st.sampled_from([0, 4096, 20_000, 200_000])),
    }
)
_NEED = st.one_of(
    st.none(),
    st.builds(Amount, bytes=st.sampled_from([0, 1, 9000, 10**6]), inodes=st.integers(0, 6)),
)


def _build(root: Path, files: list[dict[str, Any]], links: list[tuple[int, str, str]]) -> None:
    for folder in _FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    made = [
        write(
            root / each["folder"] / (each["stem"] + each["end"]),
            days=each["days"],
            kib=each["kib"],
        )
        for each in files
    ]
    for number, folder, name in links:
        target = root / folder / f"{name}.log"
        if made and not target.exists():
            target.hardlink_to(made[number % len(made)])
    (root / "logs" / "way-out").symlink_to(root / "outside")


def _state(root: Path) -> dict[str, os.stat_result]:
    return {
        str(path.relative_to(root)): path.lstat()
        for path in root.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }


def _policy(root: Path, options: dict[str, Any]) -> FilePolicy:
    roots = sorted(options["roots"])
    outer = [r for r in roots if not any(r != o and r.startswith(f"{o}/") for o in roots)]
    values = {**options, "patterns": tuple(sorted(options["patterns"]))}
    values.pop("roots")
    return policy(*(root / name for name in outer), **values)


def _may_go(root: Path, rule: FilePolicy, path: str, info: os.stat_result) -> bool:
    inside = any(str(root / path).startswith(f"{one}/") for one in rule.roots)
    named = any(fnmatch.fnmatchcase(Path(path).name, pattern) for pattern in rule.patterns)
    return inside and named and NOW - info.st_mtime > rule.older_than


@settings(max_examples=150, deadline=None)
@given(
    files=st.lists(_FILES, max_size=16),
    links=st.lists(_LINKS, max_size=4),
    rules=st.lists(_POLICIES, min_size=1, max_size=3),
    need=_NEED,
    halves=st.sampled_from([(None,), (0, 1)]),
)
def test_only_what_a_policy_names_goes(
    files: list[dict[str, Any]],
    links: list[tuple[int, str, str]],
    rules: list[dict[str, Any]],
    need: Amount | None,
    halves: tuple[int | None, ...],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _build(root, files, links)
        policies = [_policy(root, rule) for rule in rules]
        before = _state(root)
        made = workers(policies)
        predictions, left = [], need
        for each in made:
            each.halves = halves
            predictions.append(each.plan(left))
            left = None if left is None else left - predictions[-1].amount
        assert _state(root).keys() == before.keys()

        results = [each.execute(OpenFiles()) for each in made]
        after = _state(root)
        gone = before.keys() - after.keys()

        assert results == predictions
        assert sum(result.files for result in results) == len(gone)
        assert after.keys() <= before.keys()
        for path in gone:
            assert any(_may_go(root, rule, path, before[path]) for rule in policies)
        for rule, result in zip(policies, results, strict=True):
            assert rule.max_files is None or result.files <= rule.max_files
            assert rule.max_bytes is None or result.bytes <= rule.max_bytes
            _newest_stay(root, rule, before, gone)
        inodes = {before[path].st_ino for path in gone}
        assert inodes.isdisjoint(info.st_ino for info in after.values())
        blocks = {before[path].st_ino: before[path].st_blocks * 512 for path in gone}
        assert sum(result.bytes for result in results) == sum(blocks.values())
        assert sum(result.inodes for result in results) == len(inodes)


def _newest_stay(
    root: Path, rule: FilePolicy, before: dict[str, os.stat_result], gone: set[str]
) -> None:
    groups: dict[str, list[tuple[int, str]]] = {}
    empty = {path for path, info in before.items() if info.st_size == 0}
    for path, info in before.items():
        inside = any(str(root / path).startswith(f"{one}/") for one in rule.roots)
        named = any(fnmatch.fnmatchcase(Path(path).name, p) for p in rule.patterns)
        if inside and named and not (root / path).is_symlink():
            group = str(Path(path).parent) if rule.keep_by == "directory" else ""
            groups.setdefault(group, []).append((info.st_mtime_ns, path))
    for rows in groups.values():
        left = sorted((changed for changed, path in rows if path not in gone), reverse=True)
        full = [(changed, path) for changed, path in rows if path not in empty]
        kept = sorted((changed for changed, path in full if path not in gone), reverse=True)
        wanted = sorted((changed for changed, _path in full), reverse=True)[: rule.keep_newest]
        assert kept[: len(wanted)] == wanted
        if rule.verified_suffix:
            verified = [c for c, path in rows if f"{path}{rule.verified_suffix}" in before]
            assert not verified or max(verified) in left


@given(
    items=st.lists(
        st.tuples(st.integers(-(10**3), 10**12), st.integers(0, 10**6), st.integers(1, 3)),
        max_size=60,
        unique_by=lambda item: item[0],
    ),
    need=_NEED,
    max_bytes=st.one_of(st.none(), st.integers(0, 10**7)),
    max_names=st.one_of(st.none(), st.integers(0, 50)),
    kept=st.sampled_from([0, 3, 20_000]),
)
def test_a_choice_through_buckets_is_the_choice_of_a_sorted_list(
    items: list[tuple[int, int, int]],
    need: Amount | None,
    max_bytes: int | None,
    max_names: int | None,
    kept: int,
) -> None:
    from ansible_collections.koprogo.observability.plugins.module_utils import _disk_select

    # Keys far apart and close together, so that some bucket has to be looked into more than once.
    spread = [(key << 40 if key % 2 else key, size, count) for key, size, count in items]

    def tally(look: Look) -> list[Tally]:
        return [look.count(part) for part in (spread[::2], spread[1::2])]

    with _limit(_disk_select, kept):
        choice = choose(tally, need=need, max_bytes=max_bytes, max_names=max_names)
    chosen: list[tuple[int, int, int]] = []
    for item in sorted(spread):
        size, count = sum(i[1] for i in chosen), sum(i[2] for i in chosen)
        if need is not None and size >= need.bytes and len(chosen) >= need.inodes:
            break
        if (max_bytes is not None and size + item[1] > max_bytes) or (
            max_names is not None and count + item[2] > max_names
        ):
            break
        chosen.append(item)
    assert choice.total.names == sum(item[2] for item in chosen)
    assert choice.total.bytes == sum(item[1] for item in chosen)
    for number, part in enumerate(choice.parts):
        own = [item for item in spread[number::2] if item in chosen]
        assert (part.bytes, part.inodes) == (sum(item[1] for item in own), len(own))
    if choice.total.names:
        assert [item for item in sorted(spread) if item[0] <= choice.bound] == chosen


class _limit:  # noqa: N801 - reads as a statement
    """Fewer items are sorted in memory."""

    def __init__(self, module: Any, kept: int) -> None:
        self._module, self._kept = module, kept

    def __enter__(self) -> None:
        self._before = self._module._SORTED
        self._module._SORTED = max(4, self._kept)

    def __exit__(self, *_error: object) -> None:
        self._module._SORTED = self._before
