# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record grows, is announced without secrets, and finds a place on a full disk."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils import _incident
from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._incident import (
    Desk,
    closed,
    merged,
)
from ansible_collections.koprogo.observability.plugins.module_utils._io import write_atomic
from ansible_collections.koprogo.observability.plugins.module_utils._probe import Answer

FIRST = {
    "alert": "DiskFull",
    "host": "db1",
    "severity": "critical",
    "who": "ada",
    "evidence": {"disk": {"available_percent": 1.2}},
    "prediction": {"bytes": 4096},
    "timeline": [{"time": "2026-11-22T03:04:05Z", "text": "it began"}],
    "runs": ["run-1"],
}
ENTRIES = [
    {"uid": "a", "id": "run-1", "seq": 1, "action": "disk_reclaim:lossy", "phase": "begin"},
    {"uid": "b", "id": "run-2", "seq": 2, "action": "other", "phase": "begin"},
]


def record(**news: Any) -> dict[str, Any]:
    return {**merged({}, {**FIRST, **news}, ENTRIES), "id": "x-1"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(
        folder=str(tmp_path / "incidents"),
        memory=str(tmp_path / "ram"),
        log=str(tmp_path / "log" / "remediation.log"),
    )


def test_the_record_grows_and_forgets_nothing(desk: Desk) -> None:
    desk.save(record())
    news = {
        "outcome": "resolved",
        "evidence": {"verify": {"held": 60}},
        "result": {"bytes": 4096},
        "timeline": [*FIRST["timeline"], {"time": "2026-11-22T03:09:00Z", "text": "it ended"}],
        "runs": [],
    }
    grown = {**merged(desk.load("x-1"), news, []), "id": "x-1"}
    desk.save(grown)
    found = desk.load("x-1")
    assert found == grown
    assert set(found["evidence"]) == {"disk", "verify"}
    assert [row["text"] for row in found["timeline"]] == ["it began", "it ended"]
    assert [row["uid"] for row in found["actions"]] == ["a"]
    assert (found["alert"], found["outcome"]) == ("DiskFull", "resolved")
    assert merged(found, news, []) == {key: value for key, value in grown.items() if key != "x"}


def test_a_run_that_could_not_tell_its_id_is_known_by_its_evidence() -> None:
    now = "2026-11-22T03:04:05Z"
    begun = merged({}, {**FIRST, "started": now, "runs": []}, [])
    entry = {**ENTRIES[0], "evidence": begun["evidence_sha256"], "time": now}
    closed = merged(begun, {"outcome": "inconclusive", "runs": []}, [entry, ENTRIES[1]])
    assert closed["runs"] == ["run-1"]
    assert closed["actions"] == [entry]
    # The same was seen in an earlier incident: that one's run is not this one's.
    past = {**entry, "id": "run-0", "uid": "0", "time": "2026-11-21T03:04:05Z"}
    assert merged(begun, {"runs": []}, [past, entry])["runs"] == ["run-1"]


def test_the_page_shows_prediction_and_result(desk: Desk) -> None:
    folder = Path(desk.save(record(result={"bytes": 4096}, summary="<b>[x](y)`|")))
    page = (folder / "record.md").read_text(encoding="utf-8")
    assert "| bytes | 4096 | 4096 |" in page
    assert "2026-11-22T03:04:05Z it began" in page
    assert r"\<b\>\[x\](y)\`\|" in page
    assert (folder / "record.json").stat().st_mode & 0o777 == 0o600


def test_a_post_mortem_is_drafted_once_for_critical_ones(desk: Desk) -> None:
    folder = Path(desk.save(record()))
    draft = folder / "post-mortem.md"
    draft.write_text("what people wrote", encoding="utf-8")
    desk.save(record(outcome="resolved"))
    assert draft.read_text(encoding="utf-8") == "what people wrote"
    other = {**record(severity="warning"), "id": "x-2"}
    assert not (Path(desk.save(other)) / "post-mortem.md").exists()


def test_one_line_for_the_dashboards(desk: Desk) -> None:
    assert desk.announce(record(outcome="resolved", summary="a\nb")) == {
        "log": "written",
        "slack": "none",
    }
    [line] = Path(desk.log).read_text(encoding="utf-8").splitlines()
    found = json.loads(line)
    assert (found["job"], found["outcome"]) == ("koprogo-remediation", "resolved")
    assert found["actions"] == ["disk_reclaim:lossy"]


def test_slack_hears_it_and_its_address_is_never_told(desk: Desk) -> None:
    sent: list[dict[str, Any]] = []
    secret = "https://hooks.slack.com/services/T0/B0/secret"

    def fetch(url: str, **options: Any) -> Answer:
        sent.append(json.loads(options["data"]))
        return Answer(status=0, body="", error=f"cannot reach {url}")

    desk.webhook, desk.fetch = secret, fetch
    told = desk.announce(record(summary="<!channel> & co"))
    assert "secret" not in json.dumps(told)
    assert "&lt;!channel&gt; &amp; co" in sent[0]["text"]
    desk.fetch = lambda *_a, **_k: Answer(status=200, body="ok")
    assert desk.announce(record())["slack"] == "sent"
    desk.fetch = lambda *_a, **_k: Answer(status=404, body="")
    assert desk.announce(record())["slack"] == "status 404"


def test_a_full_disk_keeps_the_record_in_memory(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = write_atomic

    def full(path: str, data: bytes, *, mode: int) -> None:
        if path.startswith(desk.folder):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, data, mode=mode)

    monkeypatch.setattr(_incident, "write_atomic", full)
    assert desk.save(record()).startswith(desk.memory)
    draft = Path(desk.memory, "x-1", "post-mortem.md").read_text(encoding="utf-8")
    monkeypatch.undo()
    assert desk.load("x-1")["alert"] == "DiskFull"
    assert desk.save({**desk.load("x-1"), "outcome": "resolved"}).startswith(desk.folder)
    assert list(Path(desk.memory, "x-1").iterdir()) == []
    # The draft has moved as it was, so nobody has written in it.
    assert Path(desk.folder, "x-1", "post-mortem.md").read_text(encoding="utf-8") == draft
    assert desk.is_ours("x-1")


def test_a_long_log_is_moved_aside_once_by_whoever_is_first(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log" / "remediation.log"
    desk.announce(record(summary="first"))
    monkeypatch.setattr(_incident, "_LARGEST_LOG", log.stat().st_size)
    late = os.open(log, os.O_WRONLY | os.O_APPEND)
    desk.announce(record(summary="second"))
    desk.announce(record(summary="third"))
    # One that had opened the file before it was moved does not move the new one over it.
    desk._rotate(late)
    os.close(late)

    def told(path: Path) -> list[str]:
        return [json.loads(line)["summary"] for line in path.read_text().splitlines()]

    assert told(log) == ["third"]
    assert told(log.with_name("remediation.log.1")) == ["first", "second"]
    assert log.stat().st_mode & 0o777 == 0o640


def test_a_log_that_cannot_be_written_is_told(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("", encoding="utf-8")
    assert desk.announce(record())["log"] != "written"


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 101])
def test_an_id_is_a_name(desk: Desk, name: str) -> None:
    with pytest.raises(InputError, match="id: expected"):
        desk.load(name)


def test_what_a_dead_run_left_open_is_closed_by_what_the_ledger_knows(desk: Desk) -> None:
    began, now = "2026-11-22T03:04:05Z", "2026-11-22T04:00:00Z"
    for number, changes in enumerate(
        ({}, {"outcome": "resolved"}, {"host": "db2"}, {"alert": "SlowApi"}, {"started": now})
    ):
        desk.save({**record(started=began), **changes, "id": f"x-{number}"})
    [found] = desk.abandoned("DiskFull", "db1", before="2026-11-22T03:30:00Z")
    assert found["id"] == "x-0"
    for verdict, expected in (("", "inconclusive"), ("resolved", "resolved")):
        said = [{**ENTRIES[0], "uid": "v", "seq": 3, "phase": "verdict", "outcome": verdict}]
        ended = closed(found, [*ENTRIES, *(said if verdict else [])], now=now)
        assert (ended["id"], ended["outcome"], ended["ended"]) == ("x-0", expected, now)
        assert ended["timeline"][-1]["text"].startswith(f"{expected}: Its run ended")
    desk.save(ended)
    assert desk.abandoned("DiskFull", "db1", before="2026-11-22T03:30:00Z") == []
