"""The sample API's decisions: settings, client address, log lines, faults, traffic."""

from __future__ import annotations

import json
import os
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from lab.sample_api import package
from lab.sample_api.koprogo_api import clientaddr, config, logfile, logline, mix, passwords

ROOT = Path(__file__).parents[3] / "lab" / "sample_api"
TRUSTED = frozenset({"127.0.0.1", "::1"})


def dice(seed: int) -> random.Random:
    """Reproducible draws."""
    return random.Random(seed)  # noqa: S311 - dice, not a secret


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("KOPROGO_LISTEN_HOST", "0.0.0.0", "loopback address"),
        ("KOPROGO_LISTEN_HOST", "localhost", "loopback address"),
        ("KOPROGO_LISTEN_PORT", "0", "from 1 to 65535"),
        ("KOPROGO_LISTEN_PORT", "http", "found 'http'"),
        ("KOPROGO_TRUSTED_PROXIES", "127.0.0.1,10.0.0.1", "found '10.0.0.1'"),
        ("KOPROGO_DB_SSL", "prefer", "found 'prefer'"),
        ("KOPROGO_DB_POOL_MAX", "101", "from 1 to 100"),
    ],
)
def test_wrong_setting_is_named(name: str, value: str, expected: str) -> None:
    with pytest.raises(config.ConfigurationError, match=re.escape(expected)) as caught:
        config.load_settings({name: value})
    assert str(caught.value).startswith(name)


def test_default_settings_are_the_runbooks() -> None:
    settings = config.load_settings({})
    assert (settings.listen_host, settings.listen_port) == ("127.0.0.1", 8080)
    assert settings.log_file == Path("/var/log/koprogo/api.log")
    assert settings.db_name == "koprogo_db"
    assert settings.trusted_proxies == frozenset()


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.9", None, "192.0.2.9"),
        # A stranger may claim what it likes.
        ("192.0.2.9", "198.51.100.1", "192.0.2.9"),
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        # What the client wrote stands on the left, what the proxy saw on the right.
        ("127.0.0.1", "203.0.113.7, 198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "198.51.100.1, ::1", "198.51.100.1"),
        ("127.0.0.1", "203.0.113.7, junk", "127.0.0.1"),
        ("127.0.0.1", "2001:DB8:0::1", "2001:db8::1"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("", "198.51.100.1", "-"),
    ],
)
def test_client_address(peer: str, forwarded: str | None, expected: str) -> None:
    assert clientaddr.client_address(peer, forwarded, TRUSTED) == expected


def test_forwarded_header_counts_for_nothing_without_trusted_proxies() -> None:
    assert clientaddr.client_address("127.0.0.1", "198.51.100.1", frozenset()) == "127.0.0.1"


def make_line(**changes: object) -> str:
    fields: dict[str, object] = {
        "moment": 1_700_000_000.1239,
        "remote_addr": "192.0.2.1",
        "method": "GET",
        "path": "/api/v1/expenses/7",
        "route": "/api/v1/expenses/{expense_id}",
        "status": 200,
        "duration_ms": 12.34567,
        "user_agent": "curl/8",
        "request_id": "abcdef0123456789",
        "message": "done",
    }
    return logline.request_line(**(fields | changes))  # type: ignore[arg-type]


def test_request_line_has_the_fields_of_the_log_queries() -> None:
    line = make_line()
    fields = json.loads(line)
    assert list(fields) == [
        "remote_addr",
        "timestamp",
        "level",
        "method",
        "path",
        "route",
        "status",
        "duration_ms",
        "user_agent",
        "request_id",
        "message",
    ]
    assert fields["timestamp"] == "2023-11-14T22:13:20.123Z"
    assert fields["status"] == 200
    assert fields["duration_ms"] == 12.346


@pytest.mark.parametrize(
    ("status", "level"),
    [
        (200, "INFO"),
        (302, "INFO"),
        (400, "WARN"),
        (401, "WARN"),
        (499, "WARN"),
        (500, "ERROR"),
        (504, "ERROR"),
    ],
)
def test_level_follows_the_status(status: int, level: str) -> None:
    assert f'"level":"{level}"' in make_line(status=status)


@pytest.mark.parametrize(
    "hostile", ['"}\n{"remote_addr":"198.51.100.9"', "\u2028\x00\x1b[2J", "x" * 9000, "é\ud800"]
)
def test_a_client_cannot_forge_or_split_a_line(hostile: str) -> None:
    line = make_line(user_agent=hostile, path=f"/{hostile}", message=hostile, method=hostile)
    assert line.splitlines() == [line]
    assert line.isascii()
    assert line.startswith('{"remote_addr":"192.0.2.1",')
    assert json.loads(line)["remote_addr"] == "192.0.2.1"
    assert len(line) < 10_000
    line.encode()


def test_event_line_names_no_client() -> None:
    line = logline.event_line(moment=0.0, level="WARN", logger="koprogo.api", message="stopping")
    assert line.startswith(
        '{"remote_addr":"-","timestamp":"1970-01-01T00:00:00.000Z","level":"WARN"'
    )


def test_log_file_follows_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "api.log"
    log = logfile.LineFile(path)
    assert log.write("one")
    path.rename(tmp_path / "api.log.1")
    assert log.write("two")
    path.unlink()
    assert log.write("three")
    assert (tmp_path / "api.log.1").read_text() == "one\n"
    assert path.read_text() == "three\n"
    assert path.stat().st_mode & 0o777 == 0o640 & ~_umask()


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def test_log_file_never_raises_and_says_what_it_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = logfile.LineFile(tmp_path / "gone" / "api.log")
    assert not log.write("one")
    assert not log.write("two")
    assert log.dropped == 2
    assert capsys.readouterr().err.count("being lost") == 1
    (tmp_path / "gone").mkdir()
    assert log.write("three")


def test_half_a_line_on_a_full_disk_does_not_spoil_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logfile.LineFile(tmp_path / "api.log")
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:3]))
    assert not log.write("truncated")
    monkeypatch.setattr(os, "write", real)
    assert log.write("whole")
    assert (tmp_path / "api.log").read_text() == "tru\nwhole\n"


def test_traffic_is_realistic_and_reproducible() -> None:
    rng = dice(1)
    drawn = Counter(mix.choose(rng).name for _each in range(20_000))
    for name, share in mix.shares().items():
        assert abs(drawn[name] / 20_000 - share) < 0.01, name
    first, second = dice(7), dice(7)
    assert [mix.choose(first) for _each in range(50)] == [mix.choose(second) for _each in range(50)]
    shares = mix.shares()
    assert 0.02 < shares["login_failed"] < 0.05
    assert shares["report_full"] < 0.005, (
        "the 99th percentile must stay below one second by default"
    )
    assert all(name in drawn for name in shares if shares[name] > 0.001)


def test_clients_are_documentation_addresses_with_one_agent_each() -> None:
    rng = dice(2)
    seen: dict[str, set[str]] = {}
    for _each in range(2000):
        address, agent = mix.client_for(rng)
        seen.setdefault(address, set()).add(agent)
        assert address.startswith(("192.0.2.", "198.51.100.", "2001:db8::"))
    assert all(len(agents) == 1 for agents in seen.values())
    assert len(seen) == len(mix.CLIENTS)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.99, 0.0),
        ([3.0], 0.5, 3.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 101)], 0.5, 50.0),
        ([2.0, 1.0], 1.0, 2.0),
        ([2.0, 1.0], 0.0, 1.0),
    ],
)
def test_percentile(values: list[float], share: float, expected: float) -> None:
    assert mix.percentile(values, share) == expected


def test_percentile_refuses_a_percentage() -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        mix.percentile([1.0], 99)


def test_passwords() -> None:
    stored = passwords.hash_password("right", "salt")
    assert passwords.verify_password("right", stored)
    assert not passwords.verify_password("wrong", stored)
    assert not passwords.verify_password("right", "plain")
    assert not passwords.verify_password("right", "pbkdf2_sha256$x$salt$00")


def test_seeded_hash_is_the_generators_password() -> None:
    sql = (ROOT / "sql" / "koprogo.sql").read_text()
    stored = re.search(r"pbkdf2_sha256\$[^']+", sql)
    generator = (ROOT / "koprogo_api" / "traffic.py").read_text()
    password = re.search(r'LAB_PASSWORD = "([^"]+)"', generator)
    assert stored and password
    assert passwords.verify_password(password[1], stored[0])


def test_packing_is_reproducible_and_starts() -> None:
    first = package.build(ROOT / "koprogo_api")
    assert first == package.build(ROOT / "koprogo_api")
    assert first.startswith(b"#!/usr/bin/python3 -I\nPK")
