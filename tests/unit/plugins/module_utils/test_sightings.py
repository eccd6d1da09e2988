"""The newest lines that name an address, whatever surrounds it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._run import Result, Runner
from ansible_collections.koprogo.observability.plugins.module_utils._sightings import (
    naming,
    sightings,
)


@pytest.mark.parametrize(
    ("address", "line", "found"),
    [
        ("203.0.113.7", '{"remote_addr":"203.0.113.7","status":401}', True),
        ("203.0.113.7", "from 203.0.113.7 port 4711", True),
        ("203.0.113.7", "peer ::ffff:203.0.113.7.", True),
        ("203.0.113.7", "from 203.0.113.70 port 1", False),
        ("203.0.113.7", "from 1203.0.113.7 port 1", False),
        ("203.0.113.7", "version 203.0.113.7.1", False),
        ("2001:db8::9", '"src_ip":"2001:0db8:0000:0000:0000:0000:0000:0009"', True),
        ("2001:db8::9", "from 2001:DB8::9 port 22", True),
        ("2001:db8::9", "from 2001:db8::91 port 22", False),
        ("2001:db8::9", "from 2001:db8::9:1 port 22", False),
        ("2001:db8::9", "from f2001:db8::9 port 22", False),
    ],
)
def test_an_address_is_found_and_no_longer_one(address: str, line: str, found: bool) -> None:
    assert bool(naming(address).search(line)) is found


class Journal(Runner):
    """A journal of three lines, newest first."""

    def run(self, argv: Sequence[str], **_options: Any) -> Result:
        assert {"--reverse", "--identifier=sshd"} <= {*argv}
        text = "c 203.0.113.7\nb\na 203.0.113.7\n"
        return Result(argv=list(argv), rc=0, stdout=text, stderr="", seconds=0.0)


def seen(tmp_path: Path, **options: Any) -> list[dict[str, Any]]:
    chosen: dict[str, Any] = {
        "logs": [str(tmp_path / "*.log")],
        "journal": [],
        "lines": 2,
        **options,
    }
    return sightings("203.0.113.7", runner=Journal(), **chosen)


def test_the_newest_lines_stay_and_all_are_counted(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    log.write_bytes(b"".join(b"%d 203.0.113.7 \xff\n" % number for number in range(9)) + b"x\n")
    (tmp_path / "quiet.log").write_text("nobody\n")
    [row] = seen(tmp_path)
    assert row == {
        "log": str(log),
        "found": 9,
        "lines": ["7 203.0.113.7 \ufffd", "8 203.0.113.7 \ufffd"],
    }


def test_only_the_end_is_read_from_a_whole_line_on(tmp_path: Path) -> None:
    (tmp_path / "api.log").write_text("".join(f"{n:03} 203.0.113.7\n" for n in range(100)))
    [row] = seen(tmp_path, window=40)
    assert (row["found"], row["lines"]) == (2, ["098 203.0.113.7", "099 203.0.113.7"])


def test_links_pipes_and_missing_logs_are_left_out(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("203.0.113.7\n")
    (tmp_path / "link.log").symlink_to(secret)
    (tmp_path / "folder.log").mkdir()
    os.mkfifo(tmp_path / "pipe.log")
    assert seen(tmp_path, logs=[str(tmp_path / "*.log"), str(tmp_path / "none.log")]) == []


def test_the_journal_counts_as_a_log(tmp_path: Path) -> None:
    assert seen(tmp_path, journal=["sshd"]) == [
        {"log": "journal", "found": 2, "lines": ["a 203.0.113.7", "c 203.0.113.7"]}
    ]
