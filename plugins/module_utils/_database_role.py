# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""A PostgreSQL role for one exporter: it may sign in as itself, read what it was given, and no more.

All is asked in one C(psql) and changed in a second one, in one transaction, as the operating system's
user C(postgres) through the local socket.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._accounts import find_user
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    CommandError,
    ConflictError,
    InputError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._postgresql import psql_argv
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner

__all__ = ["MARK", "DatabaseRole", "Found", "Wanted", "removal", "statements"]

#: The role's comment: what tells our role from one that somebody else made.
MARK = "managed by koprogo.observability"

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_TABLE = re.compile(r"(?:[a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,62}")
_SETTING = re.compile(r"[a-z_][a-z0-9_.]*")

# What a monitoring role must not be; each is put right if somebody changed it.
_ATTRIBUTES = {
    "rolsuper": (False, "NOSUPERUSER"),
    "rolcreatedb": (False, "NOCREATEDB"),
    "rolcreaterole": (False, "NOCREATEROLE"),
    "rolreplication": (False, "NOREPLICATION"),
    "rolbypassrls": (False, "NOBYPASSRLS"),
    "rolcanlogin": (True, "LOGIN"),
    "rolinherit": (True, "INHERIT"),
    # No password: the operating system says who asks.
    "has_password": (False, "PASSWORD NULL"),
}

_ASK = """
SELECT json_build_object(
  'standby', pg_is_in_recovery(),
  'role', (
    SELECT row_to_json(r) FROM (
      SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolcanlogin,
        rolinherit, rolconnlimit, rolpassword IS NOT NULL AS has_password,
        shobj_description(oid, 'pg_authid') AS comment
      FROM pg_authid WHERE rolname = :'role') AS r),
  'member_of', (
    SELECT coalesce(json_agg(g.rolname ORDER BY g.rolname), '[]')
    FROM pg_auth_members m JOIN pg_authid g ON g.oid = m.roleid JOIN pg_authid u ON u.oid = m.member
    WHERE u.rolname = :'role'),
  'settings', (
    SELECT coalesce(json_agg(s ORDER BY s), '[]')
    FROM pg_db_role_setting c JOIN pg_authid u ON u.oid = c.setrole, unnest(c.setconfig) AS s
    WHERE u.rolname = :'role' AND c.setdatabase = 0),
  'overridden', EXISTS (
    SELECT FROM pg_db_role_setting c JOIN pg_authid u ON u.oid = c.setrole
      JOIN pg_database d ON d.oid = c.setdatabase
    WHERE u.rolname = :'role' AND d.datname = current_database()),
  'connect', (
    SELECT coalesce(bool_or(a.privilege_type = 'CONNECT'), false)
    FROM pg_database d, aclexplode(d.datacl) AS a JOIN pg_authid u ON u.oid = a.grantee
    WHERE d.datname = current_database() AND u.rolname = :'role'),
  'usage', (
    SELECT coalesce(json_agg(n.nspname ORDER BY n.nspname), '[]')
    FROM pg_namespace n, aclexplode(n.nspacl) AS a JOIN pg_authid u ON u.oid = a.grantee
    WHERE u.rolname = :'role' AND a.privilege_type = 'USAGE'),
  'tables', (
    SELECT coalesce(json_agg(n.nspname || '.' || c.relname || ' ' || a.privilege_type ORDER BY 1), '[]')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) AS a
      JOIN pg_authid u ON u.oid = a.grantee
    WHERE u.rolname = :'role' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')),
  'columns', (
    SELECT coalesce(json_agg(json_build_array(
      n.nspname || '.' || c.relname, t.attname, a.privilege_type)), '[]')
    FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace,
      aclexplode(t.attacl) AS a JOIN pg_authid u ON u.oid = a.grantee
    WHERE u.rolname = :'role'),
  'further', (
    SELECT coalesce(json_agg(DISTINCT what ORDER BY what), '[]') FROM (
      SELECT privilege_type || ' ON DATABASE ' || quote_ident(d.datname), grantee, grantor
      FROM pg_database d, aclexplode(d.datacl)
      WHERE d.datname = current_database() AND privilege_type <> 'CONNECT'
      UNION SELECT privilege_type || ' ON SCHEMA ' || quote_ident(n.nspname), grantee, grantor
      FROM pg_namespace n, aclexplode(n.nspacl) WHERE privilege_type <> 'USAGE'
      UNION SELECT format('ALL ON SEQUENCE %I.%I', n.nspname, c.relname), grantee, grantor
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl)
      WHERE c.relkind = 'S'
      UNION SELECT format('ALL ON ROUTINE %I.%I(%s)', n.nspname, p.proname,
        oidvectortypes(p.proargtypes)), grantee, grantor
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace, aclexplode(p.proacl)
      UNION SELECT format('ALL ON TYPE %I.%I', n.nspname, t.typname), grantee, grantor
      FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace, aclexplode(t.typacl)
      UNION SELECT format('ALL ON LANGUAGE %I', lanname), grantee, grantor
      FROM pg_language, aclexplode(lanacl)
      UNION SELECT format('ALL ON FOREIGN DATA WRAPPER %I', fdwname), grantee, grantor
      FROM pg_foreign_data_wrapper, aclexplode(fdwacl)
      UNION SELECT format('ALL ON FOREIGN SERVER %I', srvname), grantee, grantor
      FROM pg_foreign_server, aclexplode(srvacl)
      UNION SELECT format('ALL ON LARGE OBJECT %s', oid), grantee, grantor
      FROM pg_largeobject_metadata, aclexplode(lomacl)) AS f (what, grantee, grantor)
    WHERE grantee <> grantor AND grantee = (SELECT oid FROM pg_authid WHERE rolname = :'role')),
  'future', (
    SELECT coalesce(json_agg(DISTINCT format('FOR ROLE %I %sREVOKE ALL ON %s', o.rolname,
      'IN SCHEMA ' || quote_ident(n.nspname) || ' ', CASE d.defaclobjtype WHEN 'r' THEN 'TABLES'
        WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'ROUTINES' WHEN 'T' THEN 'TYPES'
        WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END)), '[]')
    FROM pg_default_acl d JOIN pg_authid o ON o.oid = d.defaclrole
      LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace, aclexplode(d.defaclacl) AS a
      JOIN pg_authid u ON u.oid = a.grantee
    WHERE u.rolname = :'role' AND o.oid <> u.oid),
  'existing', (
    SELECT coalesce(json_object_agg(name, columns), '{}') FROM (
      SELECT n.nspname || '.' || c.relname AS name, json_agg(t.attname) AS columns
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute t ON t.attrelid = c.oid AND t.attnum > 0 AND NOT t.attisdropped
      WHERE n.nspname || '.' || c.relname = ANY (string_to_array(:'tables', ','))
      GROUP BY 1) AS e)
);
"""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the role is to be. C(select) maps C(schema.table) to the columns that may be read."""

    name: str
    member_of: tuple[str, ...] = ()
    connection_limit: int = -1
    settings: Mapping[str, str] = field(default_factory=dict)
    select: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @staticmethod
    def of(options: Mapping[str, Any]) -> Wanted:
        """Check the module's options; InputError for a name that PostgreSQL would need quotes for."""
        select = {
            table if "." in table else f"public.{table}": tuple(sorted(set(columns)))
            for table, columns in options["select"].items()
        }
        wanted = Wanted(
            name=options["name"],
            member_of=tuple(sorted(set(options["member_of"]))),
            connection_limit=options["connection_limit"],
            settings={key: str(value) for key, value in options["settings"].items()},
            select=select,
        )
        for pattern, kind, names in (
            (_NAME, "name", [wanted.name]),
            (_NAME, "member_of", wanted.member_of),
            (_SETTING, "settings", wanted.settings),
            (_TABLE, "select", wanted.select),
            (_NAME, "select", [column for columns in select.values() for column in columns]),
        ):
            for name in names:
                if not pattern.fullmatch(name):
                    raise InputError(
                        f"{kind}: expected a name of lower-case letters, digits and _, found '{name}'."
                    )
        for table, columns in select.items():
            if not columns:
                raise InputError(f"select: expected the columns of {table}, found none.")
        return wanted


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the server says of the role.

    ``further`` are privileges of kinds that no option grants, and ``future`` those on what is yet to be made,
    both as REVOKE wants them: the server has quoted the names. ``overridden`` is whether it has settings for
    this database alone, which come before the others.
    """

    standby: bool
    role: Mapping[str, Any] | None
    member_of: Sequence[str]
    settings: Sequence[str]
    overridden: bool
    connect: bool
    usage: Sequence[str]
    tables: Sequence[str]
    columns: Sequence[Sequence[str]]
    further: Sequence[str]
    future: Sequence[str]
    existing: Mapping[str, Sequence[str]]


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _check(wanted: Wanted, found: Found, database: str) -> None:
    if found.role is not None and found.role["comment"] != MARK:
        raise ConflictError(
            f"Role '{wanted.name}' exists in PostgreSQL and was not made by this collection. "
            "Choose another name, or drop the role."
        )
    for table, columns in wanted.select.items():
        if table not in found.existing:
            raise InputError(
                f"select: expected the table {table} in the database {database}, found none. "
                "Has the product's schema been made?"
            )
        missing = sorted(set(columns) - set(found.existing[table]))
        if missing:
            raise InputError(
                f"select: expected the column {missing[0]} in {table}, found "
                f"{', '.join(sorted(found.existing[table]))}."
            )


def _role(wanted: Wanted, found: Found) -> list[str]:
    role, name = found.role, wanted.name
    done = []
    if role is None:
        done += [f"CREATE ROLE {name} LOGIN", f"COMMENT ON ROLE {name} IS {_literal(MARK)}"]
        role = {key: value for key, (value, _words) in _ATTRIBUTES.items()} | {"rolconnlimit": -1}
    wrong = [words for key, (value, words) in _ATTRIBUTES.items() if role[key] != value]
    if role["rolconnlimit"] != wanted.connection_limit:
        wrong.append(f"CONNECTION LIMIT {wanted.connection_limit}")
    if wrong:
        done.append(f"ALTER ROLE {name} {' '.join(wrong)}")
    done += [
        f"GRANT {group} TO {name}" for group in wanted.member_of if group not in found.member_of
    ]
    done += [
        f"REVOKE {_quoted(group)} FROM {name}"
        for group in found.member_of
        if group not in wanted.member_of
    ]
    present = dict(item.split("=", 1) for item in found.settings)
    for key, value in sorted(wanted.settings.items()):
        if present.get(key) != value:
            done.append(f"ALTER ROLE {name} SET {key} = {_literal(value)}")
    done += [f"ALTER ROLE {name} RESET {key}" for key in present if key not in wanted.settings]
    return done


def _quoted(found: str) -> str:
    """A name that somebody else gave, or C(schema.table), so that capitals and spaces are no error."""
    return ".".join(
        part if _NAME.fullmatch(part) else '"' + part.replace('"', '""') + '"'
        for part in found.split(".", 1)
    )


def _grants(wanted: Wanted, found: Found, database: str) -> list[str]:
    name = wanted.name
    done = []
    if found.overridden:
        done.append(f'ALTER ROLE {name} IN DATABASE "{database}" RESET ALL')
    if not found.connect:
        done.append(f'GRANT CONNECT ON DATABASE "{database}" TO {name}')
    schemas = sorted({table.split(".")[0] for table in wanted.select})
    done += [f"GRANT USAGE ON SCHEMA {s} TO {name}" for s in schemas if s not in found.usage]
    done += [
        f"REVOKE USAGE ON SCHEMA {_quoted(s)} FROM {name}" for s in found.usage if s not in schemas
    ]
    # Whole tables are never granted by us: what is there came from elsewhere and goes.
    whole = sorted({entry.split(" ")[0] for entry in found.tables})
    done += [f"REVOKE ALL ON TABLE {_quoted(table)} FROM {name}" for table in whole]
    readable = {(t, c) for t, c, privilege in found.columns if privilege == "SELECT"}
    for table, columns in sorted(wanted.select.items()):
        # A revoke of the whole table takes the columns' privileges with it.
        kept = set() if table in whole else {c for t, c in readable if t == table}
        if lacking := [column for column in columns if column not in kept]:
            done.append(f"GRANT SELECT ({', '.join(lacking)}) ON {table} TO {name}")
    for table, column, privilege in sorted(tuple(entry) for entry in found.columns):
        if table not in whole and (
            privilege != "SELECT" or column not in wanted.select.get(table, ())
        ):
            done.append(f'REVOKE {privilege} ("{column}") ON {_quoted(table)} FROM {name}')
    done += [f"REVOKE {privilege} FROM {name}" for privilege in found.further]
    done += [f"ALTER DEFAULT PRIVILEGES {privilege} FROM {name}" for privilege in found.future]
    return done


def statements(wanted: Wanted, found: Found, database: str) -> list[str]:
    """What brings the role from what was found to what is wanted; empty if it is so."""
    _check(wanted, found, database)
    return _role(wanted, found) + _grants(wanted, found, database)


def removal(name: str, found: Found) -> list[str]:
    """What removes the role, if it is ours; another's role of this name is left alone."""
    if found.role is None or found.role["comment"] != MARK:
        return []
    return [f"DROP OWNED BY {name}", f"DROP ROLE {name}"]


class DatabaseRole:
    """The role on one cluster, reached through its socket."""

    def __init__(
        self, runner: Runner, *, database: str, socket: str, port: int, superuser: str
    ) -> None:
        """Remember how the cluster is reached; nothing is asked yet."""
        self._runner = runner
        self._database = database
        self._superuser = superuser
        self._argv = psql_argv(socket=socket, port=port, database=database, superuser=superuser)

    def installed(self) -> bool:
        """Whether this host has PostgreSQL's client and superuser at all."""
        return (
            self._runner.which(self._argv[0]) is not None and find_user(self._superuser) is not None
        )

    def ask(self, wanted: Wanted) -> Found:
        """What the server says of the role now."""
        tables = ",".join(wanted.select)
        answer = self._psql(_ASK, f"--set=role={wanted.name}", f"--set=tables={tables}")
        return Found(**json.loads(answer))

    def apply(self, wanted_statements: Sequence[str], found: Found) -> None:
        """Carry all of it out, or nothing."""
        if found.standby:
            raise ConflictError(
                "This PostgreSQL is a standby and can't be changed. Provide the role on its primary "
                "first; the standby follows.",
                statements=list(wanted_statements),
            )
        self._psql(";\n".join(wanted_statements) + ";\n", "--single-transaction")

    def confirm(self, wanted: Wanted) -> None:
        """ConflictError unless the server now says what was wanted.

        Of the privileges that somebody else granted, PostgreSQL takes back only the owner's, without a word.
        """
        if left := statements(wanted, self.ask(wanted), self._database):
            raise ConflictError(
                f"Role '{wanted.name}': PostgreSQL took these and did not follow them: "
                f"{'; '.join(left)}. Another role than the owner granted that: take it back as that role.",
                statements=left,
            )

    def _psql(self, text: str, *options: str) -> str:
        result = self._runner.run(
            [*self._argv, *options, "--file=-"], user=self._superuser, stdin=text, timeout=30
        )
        if not result.ok:
            raise CommandError(
                f"PostgreSQL, database {self._database}: expected an answer to its superuser "
                f"{self._superuser} on the local socket, found: {result.output.strip()}. "
                "Is it running, and does pg_hba.conf let that user in by 'peer'?",
                argv=result.argv,
                rc=result.rc,
            )
        return result.stdout
