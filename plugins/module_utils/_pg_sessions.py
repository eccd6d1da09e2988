# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""End PostgreSQL sessions: only those that were chosen, never one that the server or a backup needs."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._numbers import DAY, within
from ansible_collections.koprogo.observability.plugins.module_utils._postgresql import (
    Psql,
    mask_sql,
)

__all__ = ["STATES", "Selector", "Sessions"]

STATES = (
    "active",
    "idle",
    "idle in transaction",
    "idle in transaction (aborted)",
    "fastpath function call",
)
_HIGHEST_CAP = 50

# One definition of who is chosen and who is protected, for looking and for acting: between the two a
# session may have ended its transaction, or its pid may be another's. Who waits for a lock is a victim: it
# would wait again, and who holds the lock goes on. Maintenance that is cancelled costs all of its time again;
# a word tells it where it waits for a lock, or has no view of its progress.
_CHOSEN = r"""
  SELECT a.pid, a.backend_start::text AS started, a.usename AS "user", a.datname AS database,
    a.application_name AS application, host(a.client_addr) AS client, a.state,
    round(extract(epoch FROM now() - CASE WHEN a.state = 'active' THEN a.query_start
      ELSE a.state_change END)::numeric, 1) AS age,
    left(a.query, 300) AS query,
    CASE
      WHEN a.pid = pg_backend_pid() OR a.application_name = 'koprogo-remediation' THEN 'own session'
      WHEN a.backend_type <> 'client backend' THEN a.backend_type
      WHEN r.rolsuper THEN 'superuser'
      WHEN r.rolreplication OR EXISTS (SELECT FROM pg_stat_replication p WHERE p.pid = a.pid)
        THEN 'replication'
      WHEN a.application_name ~* '^pg_(dump|dumpall|basebackup|receivewal|recvlogical|restore|rewind)'
        OR a.application_name ~* '^(pgbackrest|barman|wal-g|repmgr)'
        OR a.query ~* '(pg_backup_start|pg_start_backup|pg_export_snapshot|^\s*BASE_BACKUP)'
        OR EXISTS (SELECT FROM pg_stat_progress_basebackup b WHERE b.pid = a.pid) THEN 'backup'
      WHEN a.pid IN (
          SELECT pid FROM pg_stat_progress_vacuum UNION SELECT pid FROM pg_stat_progress_create_index
          UNION SELECT pid FROM pg_stat_progress_cluster UNION SELECT pid FROM pg_stat_progress_analyze
          UNION SELECT pid FROM pg_stat_progress_copy)
        OR a.state = 'active' AND a.query ~*
          '^\s*(alter|analyze|cluster|copy|create\s+(unique\s+)?index|refresh|reindex|vacuum)\y'
        THEN 'maintenance'
      WHEN a.application_name = ANY (ARRAY(SELECT json_array_elements_text(:'protected'::json)))
        THEN 'protected application'
      WHEN cardinality(pg_blocking_pids(a.pid)) > 0 THEN 'waiting for a lock'
    END AS protected
  FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid
  WHERE a.state = ANY (ARRAY(SELECT json_array_elements_text(:'states'::json)))
    AND now() - CASE WHEN a.state = 'active' THEN a.query_start ELSE a.state_change END
      >= make_interval(secs => :'min_age'::double precision)
    AND (:'applications' = '[]'
      OR a.application_name = ANY (ARRAY(SELECT json_array_elements_text(:'applications'::json))))
    AND (:'users' = '[]'
      OR a.usename = ANY (ARRAY(SELECT json_array_elements_text(:'users'::json))))
    AND (:'databases' = '[]'
      OR a.datname = ANY (ARRAY(SELECT json_array_elements_text(:'databases'::json))))
"""

_LOOK = f"""
SELECT json_build_object(
  'used', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
  'rows', (SELECT coalesce(json_agg(c), '[]') FROM (
    SELECT * FROM ({_CHOSEN}) AS x ORDER BY protected NULLS FIRST, age DESC, pid LIMIT 100) AS c));
"""  # noqa: S608 - a constant; values are psql variables

_END = """
SELECT coalesce(json_agg(json_build_array(e.pid, e.done)), '[]') FROM (
  SELECT x.pid, {function}(x.pid) AS done FROM ({chosen}) AS x
    JOIN json_to_recordset(:'targets'::json) AS t(pid int, started text)
      ON t.pid = x.pid AND t.started = x.started
  WHERE x.protected IS NULL) AS e;
"""

_LEFT = """
SELECT coalesce(json_agg(a.pid), '[]') FROM pg_stat_activity a
  JOIN json_to_recordset(:'targets'::json) AS t(pid int, started text)
    ON t.pid = a.pid AND t.started = a.backend_start::text;
"""


@dataclass(frozen=True, kw_only=True)
class Selector:
    """Which sessions. ``min_age`` in seconds: of the statement if active, else of the state."""

    states: tuple[str, ...]
    min_age: float
    applications: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()

    @staticmethod
    def of(options: Mapping[str, Any]) -> Selector:
        """Check the options; an empty selector means nothing, never everything."""
        states = tuple(options["states"])
        if not states:
            raise InputError(
                "states: expected at least one state, found none. An empty choice ends nothing."
            )
        if unknown := [state for state in states if state not in STATES]:
            raise InputError(f"states: expected one of {', '.join(STATES)}, found '{unknown[0]}'.")
        if options["action"] == "cancel" and set(states) != {"active"}:
            raise InputError(
                f"action: expected terminate for states {', '.join(states)}, found cancel: only what is "
                "active has a statement to cancel."
            )
        within("min_age", options["min_age"], 1, 365 * DAY)
        if not 1 <= options["max_sessions"] <= _HIGHEST_CAP:
            raise InputError(
                f"max_sessions: expected from 1 to {_HIGHEST_CAP}, found {options['max_sessions']}."
            )
        for name in ("applications", "users", "databases"):
            if any(not item for item in options[name]):
                raise InputError(f"{name}: expected names, found an empty one.")
        return Selector(
            states=states,
            min_age=options["min_age"],
            applications=tuple(options["applications"]),
            users=tuple(options["users"]),
            databases=tuple(options["databases"]),
            protected=tuple(options["protected"]),
        )

    def variables(self) -> dict[str, object]:
        """The psql variables; lists are JSON, so no name can end one."""
        return {
            "states": json.dumps(self.states),
            "min_age": self.min_age,
            "applications": json.dumps(self.applications),
            "users": json.dumps(self.users),
            "databases": json.dumps(self.databases),
            "protected": json.dumps(self.protected),
        }


class Sessions:
    """The sessions of one cluster that a selector chooses."""

    def __init__(
        self, psql: Psql, selector: Selector, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Nothing is asked yet."""
        self._psql = psql
        self._selector = selector
        self._sleep = sleep

    def look(self, *, cap: int) -> dict[str, Any]:
        """Return the sessions to end, the oldest first, and why others that fit are left alone."""
        found = self._psql.ask(_LOOK, self._selector.variables())
        rows = found["rows"]
        for row in rows:
            row["query"] = mask_sql(row["query"] or "", length=200)
        free = [row for row in rows if row["protected"] is None]
        chosen = [{key: row[key] for key in row if key != "protected"} for row in free[:cap]]
        kept = Counter(row["protected"] for row in rows if row["protected"] is not None)
        if len(free) > cap:
            kept["above max_sessions"] = len(free) - cap
        return {"used": found["used"], "sessions": chosen, "left_alone": dict(kept)}

    def end(
        self, sessions: Sequence[Mapping[str, Any]], *, terminate: bool, grace: float
    ) -> dict[str, Any]:
        """Cancel statements; with ``terminate`` end those sessions that still fit after ``grace`` seconds.

        A session that is idle in a transaction has no statement to cancel: it is terminated at once.
        """
        active = [row for row in sessions if row["state"] == "active"]
        cancelled = self._act("pg_cancel_backend", active)
        if active and terminate:
            self._sleep(grace)
        ended: list[int] = []
        if terminate:
            ended = self._act("pg_terminate_backend", sessions)
        # What was signalled takes a moment to go.
        for _try in range(20):
            left = self._left(sessions, terminate=terminate)
            if not left:
                break
            self._sleep(0.25)
        return {"cancelled": cancelled, "terminated": ended, "left": left}

    def _act(self, function: str, sessions: Sequence[Mapping[str, Any]]) -> list[int]:
        if not sessions:
            return []
        sql = _END.format(function=function, chosen=_CHOSEN)
        variables = self._selector.variables() | {"targets": _targets(sessions)}
        return sorted(pid for pid, done in self._psql.ask(sql, variables) if done)

    def _left(self, sessions: Sequence[Mapping[str, Any]], *, terminate: bool) -> list[int]:
        """Return who is still there, or, if only statements were cancelled, still fits."""
        if not sessions:
            return []
        if terminate:
            return sorted(self._psql.ask(_LEFT, {"targets": _targets(sessions)}))
        pids = {row["pid"] for row in sessions}
        return sorted(pids & {row["pid"] for row in self.look(cap=_HIGHEST_CAP)["sessions"]})


def _targets(sessions: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps([{"pid": row["pid"], "started": row["started"]} for row in sessions])
