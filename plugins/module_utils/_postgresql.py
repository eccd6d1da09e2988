# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Questions to a PostgreSQL cluster through its socket, as its superuser by peer authentication.

The superuser's reserved slots let it in when all ordinary ones are taken. Values reach the server as
psql variables, which psql quotes; every session has a time limit and a name of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._errors import CommandError
from ansible_collections.koprogo.observability.plugins.module_utils._numbers import within
from ansible_collections.koprogo.observability.plugins.module_utils._run import Result, Runner

__all__ = ["CONNECTION_OPTIONS", "Psql", "mask_sql", "psql_argv"]

#: Options of every module that asks PostgreSQL; documented by the fragment C(postgresql).
CONNECTION_OPTIONS: dict[str, dict[str, Any]] = {
    "database": {"type": "str", "default": "postgres"},
    "socket": {"type": "path", "default": "/var/run/postgresql"},
    "port": {"type": "int", "default": 5432},
    "superuser": {"type": "str", "default": "postgres"},
    "statement_timeout": {"type": "float", "default": 10.0},
}

_LITERALS = re.compile(
    r"\$([A-Za-z_]*)\$.*?(?:\$\1\$|\Z)"  # dollar quotes
    r"|[EeBbXxUu]?&?'(?:[^']|'')*(?:'|\Z)"  # strings, also one that was cut off
    r"|(?<![\w$.])-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b"  # numbers, but not $1
    r"|--[^\n]*|/\*.*?(?:\*/|\Z)",  # comments may quote anything
    re.DOTALL,
)


def mask_sql(query: str, *, length: int = 300) -> str:
    """Return a statement with its literals replaced by C(?): they may be personal data."""
    return " ".join(_LITERALS.sub("?", query).split())[:length]


def psql_argv(*, socket: str, port: int, database: str, superuser: str) -> list[str]:
    """Return psql's command line: bare rows on standard output, and an end at the first error."""
    return [
        "psql",
        "--no-psqlrc",
        "--quiet",
        "--tuples-only",
        "--no-align",
        "--no-password",
        "--set=ON_ERROR_STOP=1",
        f"--host={socket}",
        f"--port={port}",
        f"--dbname={database}",
        f"--username={superuser}",
    ]


class Psql:
    """One cluster; each question is a session of its own."""

    def __init__(
        self,
        runner: Runner,
        *,
        database: str = "postgres",
        socket: str = "/var/run/postgresql",
        port: int = 5432,
        superuser: str = "postgres",
        statement_timeout: float = 10.0,
    ) -> None:
        """Remember how the cluster is reached; nothing is asked yet. Times in seconds."""
        self._runner = runner
        self._user = superuser
        self._where = f"database {database} on port {port}"
        self._timeout = statement_timeout
        self._env = {
            "PGAPPNAME": "koprogo-remediation",
            "PGCONNECT_TIMEOUT": "5",
            # Its answers in English, whatever language its log has.
            "PGOPTIONS": f"-c lc_messages=C -c statement_timeout={int(statement_timeout * 1000)} "
            "-c lock_timeout=2000",
        }
        self._argv = psql_argv(socket=socket, port=port, database=database, superuser=superuser)

    @classmethod
    def from_options(cls, runner: Runner, options: Mapping[str, Any]) -> Psql:
        """Make it of a module's CONNECTION_OPTIONS; InputError for a time limit that is none."""
        within("statement_timeout", options["statement_timeout"], 0.1, 3600)
        return cls(runner, **{key: options[key] for key in CONNECTION_OPTIONS})

    def run(self, sql: str, variables: Mapping[str, object] | None = None) -> Result:
        """Send SQL; C(:'name') in it is the quoted variable of that name."""
        settings = [f"--set={name}={value}" for name, value in (variables or {}).items()]
        return self._runner.run(
            [*self._argv, *settings, "--file=-"],
            user=self._user,
            stdin=sql,
            env=self._env,
            timeout=self._timeout + 10,
        )

    def ask(self, sql: str, variables: Mapping[str, object] | None = None) -> Any:
        """Return the one JSON value that the SQL yields; CommandError if there is none."""
        result = self.run(sql, variables)
        if not result.ok:
            raise CommandError(
                f"PostgreSQL, {self._where}: expected an answer to its superuser {self._user} on the "
                f"local socket, found: {result.output.strip()}. Is it running, does pg_hba.conf let "
                "that user in by 'peer', and are connections left for it?",
                rc=result.rc,
            )
        text = result.stdout.strip()
        try:
            return json.loads(text) if text else None
        except ValueError as error:
            raise CommandError(
                f"PostgreSQL, {self._where}: expected JSON, found: {text[:200]}"
            ) from error

    def alive(self) -> tuple[bool, str]:
        """Return whether it answers a query, and what it said instead."""
        result = self.run("SELECT 1;")
        return result.ok and result.stdout.strip() == "1", result.output.strip()
