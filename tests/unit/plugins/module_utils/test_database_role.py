"""What is asked of PostgreSQL to bring a monitoring role to what it is to be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils._database_role import (
    MARK,
    DatabaseRole,
    Found,
    Wanted,
    removal,
    statements,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    CommandError,
    ConflictError,
    InputError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner

ROLE: dict[str, Any] = {
    "rolsuper": False,
    "rolcreatedb": False,
    "rolcreaterole": False,
    "rolreplication": False,
    "rolbypassrls": False,
    "rolcanlogin": True,
    "rolinherit": True,
    "rolconnlimit": 2,
    "has_password": False,
    "comment": MARK,
}


def found(**changes: Any) -> Found:
    """The state that fits C(wanted())."""
    state: dict[str, Any] = {
        "standby": False,
        "role": ROLE,
        "member_of": ["pg_monitor"],
        "settings": ["statement_timeout=5s"],
        "overridden": False,
        "connect": True,
        "usage": ["public"],
        "tables": [],
        "columns": [["public.users", "created_at", "SELECT"]],
        "further": [],
        "future": [],
        "existing": {"public.users": ["id", "email", "created_at"]},
    }
    return Found(**(state | changes))


def wanted(**changes: Any) -> Wanted:
    options: dict[str, Any] = {
        "name": "sql_exporter",
        "member_of": ["pg_monitor"],
        "connection_limit": 2,
        "settings": {"statement_timeout": "5s"},
        "select": {"users": ["created_at"]},
    }
    return Wanted.of(options | changes)


def changes(state: Found, aim: Wanted | None = None) -> list[str]:
    return statements(aim or wanted(), state, "koprogo_db")


def test_nothing_to_do_when_all_is_so() -> None:
    assert changes(found()) == []


def test_a_new_role_is_made_whole() -> None:
    nothing = found(role=None, member_of=[], settings=[], connect=False, usage=[], columns=[])
    assert changes(nothing) == [
        "CREATE ROLE sql_exporter LOGIN",
        f"COMMENT ON ROLE sql_exporter IS '{MARK}'",
        "ALTER ROLE sql_exporter CONNECTION LIMIT 2",
        "GRANT pg_monitor TO sql_exporter",
        "ALTER ROLE sql_exporter SET statement_timeout = '5s'",
        'GRANT CONNECT ON DATABASE "koprogo_db" TO sql_exporter',
        "GRANT USAGE ON SCHEMA public TO sql_exporter",
        "GRANT SELECT (created_at) ON public.users TO sql_exporter",
    ]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"role": ROLE | {"rolsuper": True}}, ["ALTER ROLE sql_exporter NOSUPERUSER"]),
        ({"role": ROLE | {"has_password": True}}, ["ALTER ROLE sql_exporter PASSWORD NULL"]),
        ({"role": ROLE | {"rolcanlogin": False}}, ["ALTER ROLE sql_exporter LOGIN"]),
        ({"role": ROLE | {"rolconnlimit": -1}}, ["ALTER ROLE sql_exporter CONNECTION LIMIT 2"]),
        (
            {"member_of": ["pg_monitor", "pg_write_all_data"]},
            ["REVOKE pg_write_all_data FROM sql_exporter"],
        ),
        ({"settings": []}, ["ALTER ROLE sql_exporter SET statement_timeout = '5s'"]),
        (
            {"settings": ["statement_timeout=0", "role=postgres"]},
            [
                "ALTER ROLE sql_exporter SET statement_timeout = '5s'",
                "ALTER ROLE sql_exporter RESET role",
            ],
        ),
        ({"overridden": True}, ['ALTER ROLE sql_exporter IN DATABASE "koprogo_db" RESET ALL']),
        ({"usage": ["public", "other"]}, ["REVOKE USAGE ON SCHEMA other FROM sql_exporter"]),
        (
            {
                "columns": [
                    ["public.users", "created_at", "SELECT"],
                    ["public.users", "email", "SELECT"],
                ]
            },
            ['REVOKE SELECT ("email") ON public.users FROM sql_exporter'],
        ),
        (
            {
                "columns": [
                    ["public.users", "created_at", "SELECT"],
                    ["public.users", "created_at", "UPDATE"],
                ]
            },
            ['REVOKE UPDATE ("created_at") ON public.users FROM sql_exporter'],
        ),
        (
            {
                "further": [
                    "ALL ON SEQUENCE public.users_id_seq",
                    'CREATE ON DATABASE "My db"',
                    "CREATE ON SCHEMA public",
                ]
            },
            [
                "REVOKE ALL ON SEQUENCE public.users_id_seq FROM sql_exporter",
                'REVOKE CREATE ON DATABASE "My db" FROM sql_exporter',
                "REVOKE CREATE ON SCHEMA public FROM sql_exporter",
            ],
        ),
        (
            {"future": ["FOR ROLE owner IN SCHEMA public REVOKE ALL ON TABLES"]},
            [
                "ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public REVOKE ALL ON TABLES "
                "FROM sql_exporter"
            ],
        ),
        # Another tool's names, which are not in small letters.
        (
            {"tables": ["public.MyTable SELECT"]},
            ['REVOKE ALL ON TABLE public."MyTable" FROM sql_exporter'],
        ),
        # A revoke of the table would take the column's privilege with it.
        (
            {"tables": ["public.users SELECT", "public.users INSERT"]},
            [
                "REVOKE ALL ON TABLE public.users FROM sql_exporter",
                "GRANT SELECT (created_at) ON public.users TO sql_exporter",
            ],
        ),
    ],
)
def test_what_somebody_changed_is_put_right(state: dict[str, Any], expected: list[str]) -> None:
    assert changes(found(**state)) == expected


def test_a_setting_is_quoted() -> None:
    aim = wanted(settings={"search_path": "a'; DROP TABLE users; --"})
    assert "SET search_path = 'a''; DROP TABLE users; --'" in changes(found(), aim)[0]


@pytest.mark.parametrize("role", [ROLE | {"comment": None}, ROLE | {"comment": "by hand"}])
def test_anothers_role_is_never_touched(role: dict[str, Any]) -> None:
    with pytest.raises(ConflictError, match="was not made by this collection"):
        changes(found(role=role))
    assert removal("sql_exporter", found(role=role)) == []


def test_removal() -> None:
    assert removal("sql_exporter", found()) == [
        "DROP OWNED BY sql_exporter",
        "DROP ROLE sql_exporter",
    ]
    assert removal("sql_exporter", found(role=None)) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"name": 'x"; DROP ROLE postgres; --'}, "name: expected a name of lower-case letters"),
        ({"member_of": ["pg monitor"]}, "member_of: expected a name"),
        ({"settings": {"a=b": "1"}}, "settings: expected a name"),
        ({"select": {"users; --": ["id"]}}, "select: expected a name"),
        ({"select": {"users": ["id)"]}}, "select: expected a name"),
        ({"select": {"users": []}}, "expected the columns of public.users, found none"),
    ],
)
def test_names_that_would_need_quotes_are_refused(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        wanted(**options)


def test_a_missing_table_or_column_is_named() -> None:
    with pytest.raises(
        InputError, match=r"table public.users in the database koprogo_db, found none"
    ):
        changes(found(existing={}))
    with pytest.raises(InputError, match=r"column created_at in public.users, found email, id"):
        changes(found(existing={"public.users": ["id", "email"]}))


class Psql:
    """A psql that answers from a file and keeps what it was told."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
        self.told = directory / "told"
        program = directory / "psql"
        program.write_text(f"#!/bin/sh\ncat >> {self.told}\n{answer}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")

    def server(self, user: str) -> DatabaseRole:
        return DatabaseRole(
            Runner(), database="koprogo_db", socket="/run/pg", port=5432, superuser=user
        )


@pytest.fixture
def me() -> str:
    import os
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def test_the_server_is_asked_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, me: str
) -> None:
    answer = json.dumps(vars(found()))
    psql = Psql(tmp_path, monkeypatch, f"printf '%s' '{answer}'")
    server = psql.server(me)
    assert server.ask(wanted()) == found()
    server.apply(["SELECT 1", "SELECT 2"], found())
    assert psql.told.read_text().endswith("SELECT 1;\nSELECT 2;\n")


def test_what_the_server_kept_in_silence_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, me: str
) -> None:
    """As it keeps what another role than the owner granted."""
    kept = json.dumps(vars(found(further=["CREATE ON SCHEMA public"])))
    psql = Psql(tmp_path, monkeypatch, f"printf '%s' '{kept}'")
    with pytest.raises(ConflictError, match="REVOKE CREATE ON SCHEMA public FROM sql_exporter"):
        psql.server(me).confirm(wanted())
    psql = Psql(tmp_path, monkeypatch, f"printf '%s' '{json.dumps(vars(found()))}'")
    psql.server(me).confirm(wanted())


def test_a_standby_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, me: str) -> None:
    psql = Psql(tmp_path, monkeypatch, "exit 0")
    todo: Sequence[str] = ["SELECT 1"]
    with pytest.raises(ConflictError, match="standby"):
        psql.server(me).apply(todo, found(standby=True))
    assert not psql.told.exists()


def test_a_server_that_is_down_is_said_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, me: str
) -> None:
    psql = Psql(tmp_path, monkeypatch, "echo 'connection refused' >&2; exit 2")
    with pytest.raises(CommandError, match=r"database koprogo_db: .*connection refused.*running"):
        psql.server(me).ask(wanted())
