# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of incidents go when they are old or too many; never one that somebody may still need."""

from __future__ import annotations

import calendar
import itertools
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.koprogo.observability.plugins.module_utils import _incident
from ansible_collections.koprogo.observability.plugins.module_utils._incident import Desk
from ansible_collections.koprogo.observability.plugins.module_utils._incident_retention import (
    Retention,
)
from ansible_collections.koprogo.observability.plugins.modules import incident

NOW = calendar.timegm((2026, 11, 22, 3, 0, 0))
YEAR = Retention.of(days=365, records=500)


def at(days: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW - days * 86_400))


def record(name: str, *, days: float, **changes: Any) -> dict[str, Any]:
    return {
        "id": name,
        "alert": "DiskFull",
        "host": "db1",
        "severity": "critical",
        "started": at(days),
        "ended": at(days),
        "outcome": "resolved",
        "runs": ["1"],
        "actions": [{"action": "restart:api", "uid": "u", "id": "1", "seq": 1}],
        "evidence": {},
        "prediction": {},
        "result": {},
        "timeline": [],
    } | changes


def many(count: int, *, days: float, prefix: str = "r", **changes: Any) -> list[dict[str, Any]]:
    return [record(f"{prefix}{n:04}", days=days + n / 100, **changes) for n in range(count)]


def gone(
    records: list[dict[str, Any]], retention: Retention = YEAR, opened: tuple[str, ...] = ()
) -> set[str]:
    return set(retention.expired(records, now=NOW, opened=opened))


def test_what_is_old_goes_but_the_newest_and_what_is_open() -> None:
    young, old = many(30, days=10), many(9, days=400, prefix="old")
    assert gone([*young, *old]) == {one["id"] for one in old}
    assert gone([*young[:19], *old]) == {one["id"] for one in old[1:]}
    assert gone([*young, record("open", days=900, outcome="", ended="")]) == set()
    assert gone([*young, *old], opened=("restart:api",)) == set()
    assert gone([*young, *old], opened=("restart:db",)) == {one["id"] for one in old}
    assert gone([*young, *many(3, days=364.9, prefix="old")]) == {"old0010"} - {"old0010"}


def test_of_too_many_the_oldest_go_and_refusals_drive_out_refusals() -> None:
    few = Retention.of(days=365, records=60)
    refused = many(200, days=1, prefix="no", outcome="refused", runs=[], actions=[])
    acted = many(70, days=100)
    assert gone([*refused, *acted], few) == {
        *(f"no{n:04}" for n in range(60, 200)),
        *(f"r{n:04}" for n in range(60, 70)),
    }


@pytest.mark.parametrize(("days", "records"), [(0, 0), (-1, -5), (29, 49), (float("nan"), 0)])
def test_limits_that_are_too_low_count_as_the_lowest(days: float, records: int) -> None:
    found = Retention.of(days=days, records=records)
    assert (found.days, found.records) == (30, 50)
    assert gone(many(100, days=1e5), Retention.of(days=float("inf"), records=10**9))
    assert not gone(many(100, days=20), Retention.of(days=float("inf"), records=10**9))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(
        folder=str(tmp_path / "incidents"),
        memory=str(tmp_path / "ram"),
        log=str(tmp_path / "log"),
    )


def test_what_people_put_beside_the_records_hides_none(desk: Desk) -> None:
    desk.save(record("one", days=1))
    folder = Path(desk.folder)
    (folder / "notes.txt").touch()
    (folder / "copy").symlink_to(folder / "one")
    (folder / "broken" / "record.json").mkdir(parents=True)
    assert [one["id"] for one in desk.records()] == ["one"]


def test_what_people_wrote_is_kept(desk: Desk) -> None:
    for name in ("plain", "draft", "file", "link"):
        desk.save(record(name, days=400, outcome=""))
        # The draft stays that of the beginning, whatever is known at the end.
        desk.save({**desk.load(name), "outcome": "resolved"})
    folder = Path(desk.folder)
    with (folder / "draft" / "post-mortem.md").open("a", encoding="utf-8") as file:
        file.write("It was the certificate.\n")
    (folder / "file" / "graph.png").touch()
    (folder / "link").rename(folder.parent / "elsewhere")
    (folder / "link").symlink_to(folder.parent / "elsewhere")
    assert [name for name in ("plain", "draft", "file", "link") if desk.is_ours(name)] == ["plain"]
    desk.forget("plain")
    assert sorted(path.name for path in folder.iterdir()) == ["draft", "file", "link"]
    desk.save(record("warning", days=400, severity="warning"))
    assert desk.is_ours("warning")


class Killer:
    """The C(os) of the module, which kills the process at the n-th call that deletes something."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in ("rename", "unlink", "rmdir"):
            return real

        def call(*arguments: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments)

        return call


def test_killed_at_each_step_a_record_is_whole_or_gone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for steps in itertools.count():
        desk.save(record("old", days=400))
        before = desk.load("old")
        child = os.fork()
        if not child:
            monkeypatch.setattr(_incident, "os", Killer(steps))
            desk.forget("old")
            os._exit(0)
        _pid, status = os.waitpid(child, 0)
        assert desk.load("old") in ({}, before)
        left = [path.name for path in Path(desk.folder).iterdir()]
        desk.tidy()
        assert [path.name for path in Path(desk.folder).iterdir()] == (
            ["old"] if before == desk.load("old") else []
        )
        seen.append(left)
        if not status:
            break
    # Before it had a name to be deleted under, then under that, then not at all.
    assert [key for key, _group in itertools.groupby(seen)] == [["old"], [".old.gone"], []]


def test_the_module_forgets_when_it_closes_and_not_when_it_begins(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(*, check: bool = False, **options: Any) -> dict[str, Any]:
        paths = {"folder": desk.folder, "log": desk.log, "ledger": str(tmp_path / "ledger.jsonl")}
        arguments: dict[str, Any] = paths | options | {"_ansible_check_mode": check}
        with patch_module_args(arguments), pytest.raises(SystemExit) as ended:
            incident.main()
        assert ended.value.code == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    for one in [*many(25, days=1), record("old", days=4000)]:
        desk.save(one)
    begun: dict[str, Any] = {"id": "now", "alert": "DiskFull", "host": "db1", "severity": "warning"}
    assert call(**begun)["expired"] == []
    sweep: dict[str, Any] = {"state": "swept", "alert": "ApiDown", "host": "db1"}
    told = call(**sweep, check=True)
    assert (told["changed"], told["expired"]) == (True, ["old"])
    assert desk.load("old")
    assert call(**begun, outcome="resolved")["expired"] == ["old"]
    assert not desk.load("old")
    told = call(**sweep)
    assert (told["changed"], told["expired"]) == (False, [])
