"""Which sessions are chosen and how they are ended; the server's part is proven on real ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    CommandError,
    InputError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._pg_activity import (
    activity,
    blocking_chains,
    index_hints,
)
from ansible_collections.koprogo.observability.plugins.module_utils._pg_sessions import (
    Selector,
    Sessions,
)
from ansible_collections.koprogo.observability.plugins.module_utils._postgresql import (
    Psql,
    mask_sql,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Result, Runner

OPTIONS: dict[str, Any] = {
    "states": ["idle in transaction"],
    "min_age": 300.0,
    "action": "terminate",
    "max_sessions": 10,
    "applications": [],
    "users": [],
    "databases": [],
    "protected": [],
}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"states": []}, "states: expected at least one state, found none"),
        ({"states": ["any"]}, "states: expected one of active, .*, found 'any'"),
        ({"action": "cancel"}, "action: expected terminate for states idle in transaction, found"),
        ({"min_age": 0.0}, "min_age: expected from 1 to 31536000, found 0"),
        ({"min_age": float("nan")}, "min_age: expected from 1 to 31536000, found nan"),
        ({"max_sessions": 0}, "max_sessions: expected from 1 to 50, found 0"),
        ({"max_sessions": 51}, "max_sessions: expected from 1 to 50, found 51"),
        ({"applications": [""]}, "applications: expected names, found an empty one"),
    ],
)
def test_an_empty_or_boundless_choice_is_refused(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        Selector.of(OPTIONS | options)


@given(st.text(max_size=40))
def test_a_name_cannot_leave_its_variable(name: str) -> None:
    if not name:
        return
    variables = Selector.of(OPTIONS | {"applications": [name]}).variables()
    assert json.loads(str(variables["applications"])) == [name]


class Server(Psql):
    """A server with sessions that go, or stay, when they are signalled."""

    def __init__(self, rows: list[dict[str, Any]], *, stubborn: bool = False) -> None:
        super().__init__(Runner())
        self.rows = rows
        self.stubborn = stubborn
        self.told: list[tuple[str, list[int]]] = []

    def ask(self, sql: str, variables: Mapping[str, object] | None = None) -> Any:
        given = dict(variables or {})
        targets = {row["pid"] for row in json.loads(str(given.get("targets", "[]")))}
        for function in ("pg_cancel_backend", "pg_terminate_backend"):
            if function in sql:
                hit = [row["pid"] for row in self.rows if row["pid"] in targets]
                self.told.append((function, hit))
                if function == "pg_terminate_backend" or not self.stubborn:
                    self.rows = [row for row in self.rows if row["pid"] not in hit]
                return [[pid, True] for pid in hit]
        if "json_build_object(" in sql:
            return {"used": 20 + len(self.rows), "rows": [dict(row) for row in self.rows]}
        return [row["pid"] for row in self.rows if row["pid"] in targets]


def session(pid: int, state: str = "idle in transaction", protected: str | None = None) -> Any:
    return {
        "pid": pid,
        "started": f"2026-01-31 11:00:{pid:02d}+00",
        "application": "koprogo-api",
        "state": state,
        "age": 900 - pid,
        "query": "SELECT * FROM users WHERE email = 'a@example.org'",
        "protected": protected,
    }


def test_the_oldest_within_the_cap_and_nobody_who_is_protected() -> None:
    rows = [session(1), session(2), session(3), session(4, protected="backup")]
    seen = Sessions(Server(rows), Selector.of(OPTIONS)).look(cap=2)
    assert [row["pid"] for row in seen["sessions"]] == [1, 2]
    assert seen["left_alone"] == {"backup": 1, "above max_sessions": 1}
    assert seen["sessions"][0]["query"] == "SELECT * FROM users WHERE email = ?"


def end(server: Server, *, terminate: bool) -> dict[str, Any]:
    waited: list[float] = []
    sessions = Sessions(server, Selector.of(OPTIONS), sleep=waited.append)
    return sessions.end(sessions.look(cap=10)["sessions"], terminate=terminate, grace=5.0)


def test_a_statement_is_cancelled_before_its_session_is_ended() -> None:
    server = Server([session(1, "active")], stubborn=True)
    assert end(server, terminate=True) == {"cancelled": [1], "terminated": [1], "left": []}
    assert [function for function, _pids in server.told] == [
        "pg_cancel_backend",
        "pg_terminate_backend",
    ]


def test_a_statement_that_can_be_cancelled_keeps_its_session() -> None:
    server = Server([session(1, "active")])
    assert end(server, terminate=True) == {"cancelled": [1], "terminated": [], "left": []}


def test_what_is_idle_in_a_transaction_is_ended_at_once() -> None:
    server = Server([session(1), session(2)])
    assert end(server, terminate=True)["terminated"] == [1, 2]
    assert [function for function, _pids in server.told] == ["pg_terminate_backend"]


def test_a_stubborn_statement_is_told() -> None:
    server = Server([session(1, "active")], stubborn=True)
    assert end(server, terminate=False) == {"cancelled": [1], "terminated": [], "left": [1]}


@pytest.mark.parametrize(
    ("query", "masked"),
    [
        ("SELECT 1, 'it''s', -2.5e3, $1", "SELECT ?, ?, ?, $1"),
        ("SELECT $tag$secret$tag$ FROM t2", "SELECT ? FROM t2"),
        ("SELECT 'cut o", "SELECT ?"),
        ("SELECT 1 -- for a@example.org\n FROM t", "SELECT ? ? FROM t"),
        ("SELECT E'\\'' , x", "SELECT ?"),
        ("SELECT a /* b", "SELECT a ?"),
    ],
)
def test_literals_are_masked(query: str, masked: str) -> None:
    assert mask_sql(query) == masked


@pytest.mark.parametrize(
    ("blocked_by", "chains"),
    [
        ({}, []),
        ({2: [1]}, [{"pid": 1, "waiting": [2]}]),
        ({2: [1], 3: [2], 4: [3, 1]}, [{"pid": 1, "waiting": [2, 3, 4]}]),
        ({2: [1], 4: [3], 5: [3]}, [{"pid": 3, "waiting": [4, 5]}, {"pid": 1, "waiting": [2]}]),
        # A prepared transaction has no process.
        ({2: [0]}, [{"pid": 0, "waiting": [2]}]),
        ({1: [2], 2: [1]}, []),
    ],
)
def test_who_blocks_whom(blocked_by: dict[int, list[int]], chains: list[dict[str, Any]]) -> None:
    assert blocking_chains(blocked_by) == chains


def table(**changes: Any) -> dict[str, Any]:
    return {
        "table": "public.expenses",
        "bytes": 100_000_000,
        "sequential_scans": 900,
        "sequential_rows": 900_000,
        "index_scans": 10,
    } | changes


@pytest.mark.parametrize(
    ("changes", "hinted"),
    [
        ({}, True),
        ({"bytes": 1000}, False),
        ({"sequential_scans": 5}, False),
        ({"index_scans": 90_000}, False),
        ({"sequential_scans": None}, False),
    ],
)
def test_big_tables_that_are_read_as_a_whole(changes: dict[str, Any], hinted: bool) -> None:
    known = [{"query": "SELECT * FROM expenses WHERE building_id = $1"}, {"query": "SELECT 1"}]
    hints = index_hints([table(**changes)], known, big_table_bytes=8_000_000, sequential_share=0.5)
    assert bool(hints) is hinted
    if hinted:
        assert hints[0]["rows_per_scan"] == 1000
        assert hints[0]["statements"] == ["SELECT * FROM expenses WHERE building_id = $1"]


class Recorded(Runner):
    """Answers each question, and keeps how it was asked."""

    def __init__(self, rc: int = 0, text: str = "[]") -> None:
        super().__init__()
        self.rc, self.text = rc, text
        self.asked: list[dict[str, Any]] = []

    def run(self, argv: Any, **options: Any) -> Result:
        self.asked.append({"argv": list(argv), **options})
        return Result(argv=list(argv), rc=self.rc, stdout=self.text, stderr="", seconds=0.0)


def test_every_session_has_limits_and_a_name() -> None:
    runner = Recorded()
    Psql(runner, statement_timeout=3).ask("SELECT :'x';", {"x": "a'b"})
    (asked,) = runner.asked
    assert "--set=x=a'b" in asked["argv"]
    assert asked["user"] == "postgres"
    assert asked["env"]["PGAPPNAME"] == "koprogo-remediation"
    assert "statement_timeout=3000" in asked["env"]["PGOPTIONS"]


@pytest.mark.parametrize(
    ("rc", "text", "expected"),
    [(2, "refused", "found: refused. Is it running"), (0, "{torn", "expected JSON, found: {torn")],
)
def test_a_server_that_gives_no_answer_is_said_plainly(rc: int, text: str, expected: str) -> None:
    with pytest.raises(CommandError, match=expected.replace("{", r"\{")):
        Psql(Recorded(rc, text)).ask("SELECT 1")


def test_slots_that_ordinary_users_have_left() -> None:
    class Busy(Psql):
        def ask(self, sql: str, variables: Mapping[str, object] | None = None) -> Any:
            if "'max_connections'" in sql:
                return {"max_connections": 100, "reserved": 3, "used": 85, "sessions": []}
            return False if "EXISTS (SELECT FROM pg_extension" in sql else []

    found = activity(Busy(Runner()), top=5, big_table_bytes=1, sequential_share=0.5)
    assert found["free"] == 12
    assert found["statements"] == []
