# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""What a PostgreSQL cluster is busy with: sessions, locks, statements, tables, replicas. Only reads.

Works on PostgreSQL 13 and later: only columns are asked that all of them have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._postgresql import (
    Psql,
    mask_sql,
)

__all__ = ["activity", "blocking_chains", "index_hints"]

_SESSIONS = """
WITH s AS (
  SELECT pid, usename, datname, application_name, host(client_addr) AS client, backend_type,
    coalesce(state, '') AS state, wait_event_type, wait_event,
    round(extract(epoch FROM now() - state_change)::numeric, 1) AS state_age,
    round(extract(epoch FROM now() - xact_start)::numeric, 1) AS transaction_age,
    round(extract(epoch FROM now() - query_start)::numeric, 1) AS query_age,
    left(query, 1000) AS query
  FROM pg_stat_activity
  WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
)
SELECT json_build_object(
  'version', current_setting('server_version_num')::int,
  'standby', pg_is_in_recovery(),
  'max_connections', current_setting('max_connections')::int,
  'reserved', current_setting('superuser_reserved_connections')::int
    + coalesce(current_setting('reserved_connections', true)::int, 0),
  'used', (SELECT count(*) FROM s),
  'groups', (
    SELECT coalesce(json_agg(g), '[]') FROM (
      SELECT state, application_name AS application, usename AS "user", datname AS database,
        count(*) AS sessions, max(state_age) AS oldest_state_age,
        max(transaction_age) AS oldest_transaction_age
      FROM s GROUP BY 1, 2, 3, 4 ORDER BY count(*) DESC, 1, 2 LIMIT 30) AS g),
  'states', (
    SELECT coalesce(json_object_agg(state, n), '{}') FROM (
      SELECT state, count(*) AS n FROM s GROUP BY 1) AS g),
  'sessions', (
    SELECT coalesce(json_agg(o), '[]') FROM (
      SELECT * FROM s WHERE state <> 'idle'
      ORDER BY transaction_age DESC NULLS LAST, pid LIMIT :'top'::int) AS o)
);
"""

# A prepared transaction that blocks has pid 0.
_LOCKS = """
SELECT coalesce(json_agg(w), '[]') FROM (
  SELECT a.pid, pg_blocking_pids(a.pid) AS blocked_by, a.usename AS "user",
    a.application_name AS application, a.state,
    round(extract(epoch FROM now() - a.query_start)::numeric, 1) AS query_age,
    l.mode, l.locktype, CASE WHEN l.database = (
      SELECT oid FROM pg_database WHERE datname = current_database()) THEN l.relation::regclass::text END
      AS relation, left(a.query, 500) AS query
  FROM pg_stat_activity a LEFT JOIN LATERAL (
    SELECT mode, locktype, relation, database FROM pg_locks
    WHERE pid = a.pid AND NOT granted LIMIT 1) AS l ON true
  WHERE cardinality(pg_blocking_pids(a.pid)) > 0
  ORDER BY a.query_start LIMIT 50) AS w;
"""

_BLOCKERS = """
SELECT coalesce(json_agg(b), '[]') FROM (
  SELECT pid, usename AS "user", application_name AS application, state,
    round(extract(epoch FROM now() - xact_start)::numeric, 1) AS transaction_age,
    left(query, 500) AS query
  FROM pg_stat_activity WHERE pid = ANY (string_to_array(:'pids', ',')::int[])) AS b;
"""

_HAS_STATEMENTS = """
SELECT to_json(EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements')
  AND current_setting('shared_preload_libraries') LIKE '%pg_stat_statements%');
"""

_STATEMENTS = """
SELECT coalesce(json_agg(t), '[]') FROM (
  SELECT s.queryid::text AS id, d.datname AS database, s.calls, s.rows,
    round(s.mean_exec_time::numeric, 3) AS mean_ms, round(s.max_exec_time::numeric, 3) AS max_ms,
    round(s.total_exec_time::numeric, 1) AS total_ms, left(s.query, 1000) AS query
  FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
  ORDER BY s.mean_exec_time DESC LIMIT :'top'::int) AS t;
"""

# Expected size: a row's header of 24 bytes with alignment, its pointer of 4, the mean width of its
# columns, on pages of which 24 bytes are the header; as in PostgreSQL's manual, chapter "Database
# Page Layout". Only tables that ANALYZE has seen; TOAST is left out on both sides.
# The size is that of ANALYZE too: to ask for the present one would wait for a table's exclusive lock.
_TABLES = """
WITH t AS (
  SELECT c.oid, n.nspname || '.' || c.relname AS name, c.reltuples, c.relpages,
    c.relpages::bigint * current_setting('block_size')::bigint AS bytes,
    current_setting('block_size')::numeric AS page,
    coalesce((SELECT option_value::numeric FROM pg_options_to_table(c.reloptions)
      WHERE option_name = 'fillfactor'), 100) AS filled,
    (SELECT sum((1 - null_frac) * avg_width) FROM pg_stats p
      WHERE p.schemaname = n.nspname AND p.tablename = c.relname) AS width
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
)
SELECT coalesce(json_agg(r), '[]') FROM (
  SELECT t.name AS table, t.bytes, greatest(t.reltuples, 0)::bigint AS rows, s.n_dead_tup AS dead_rows,
    CASE WHEN t.reltuples > 0 AND t.width IS NOT NULL THEN greatest(0, t.bytes - t.page * ceil(
      t.reltuples::numeric * (28 + ceil(t.width / 8)::numeric * 8)
      / ((t.page - 24) * t.filled / 100)))::bigint
    END AS bloat_bytes,
    s.seq_scan AS sequential_scans, s.seq_tup_read AS sequential_rows,
    coalesce(s.idx_scan, 0) AS index_scans,
    to_char(greatest(s.last_vacuum, s.last_autovacuum) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
      AS last_vacuum
  FROM t JOIN pg_stat_user_tables s ON s.relid = t.oid
  ORDER BY t.bytes DESC LIMIT 200) AS r;
"""

# A standby that follows another one is behind what that one has received.
_REPLICAS = """
SELECT coalesce(json_agg(r), '[]') FROM (
  SELECT pid, application_name AS application, host(client_addr) AS client, state, sync_state AS sync,
    pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
      ELSE pg_current_wal_lsn() END, replay_lsn)::bigint AS behind_bytes,
    round(extract(epoch FROM replay_lag)::numeric, 3) AS behind_seconds
  FROM pg_stat_replication ORDER BY pid) AS r;
"""

_CACHE = """
SELECT coalesce(json_agg(d), '[]') FROM (
  SELECT datname AS database, blks_hit AS hits, blks_read AS reads, deadlocks,
    round(blks_hit::numeric / nullif(blks_hit + blks_read, 0), 4) AS hit_ratio
  FROM pg_stat_database WHERE datname IS NOT NULL AND NOT datname LIKE 'template%' ORDER BY 1) AS d;
"""


def activity(
    psql: Psql, *, top: int, big_table_bytes: int, sequential_share: float
) -> dict[str, Any]:
    """Ask for all of it; ``top`` bounds the lists of sessions, statements and tables."""
    found: dict[str, Any] = psql.ask(_SESSIONS, {"top": top})
    for session in found["sessions"]:
        session["query"] = mask_sql(session["query"] or "")
    found["free"] = found["max_connections"] - found["reserved"] - found["used"]
    waiting = psql.ask(_LOCKS)
    for row in waiting:
        row["query"] = mask_sql(row["query"] or "")
    chains = blocking_chains({row["pid"]: row["blocked_by"] for row in waiting})
    found |= {"waiting": waiting, "blocking": _described(psql, chains)}
    found["statistics"] = bool(psql.ask(_HAS_STATEMENTS))
    statements = psql.ask(_STATEMENTS, {"top": top}) if found["statistics"] else []
    for row in statements:
        row["query"] = mask_sql(row["query"] or "")
    tables = psql.ask(_TABLES)
    return {
        **found,
        "statements": statements,
        "replicas": psql.ask(_REPLICAS),
        "cache": psql.ask(_CACHE),
        "bloat": sorted(
            (row for row in tables if (row["bloat_bytes"] or 0) >= big_table_bytes),
            key=lambda row: -row["bloat_bytes"],
        )[:top],
        "missing_indexes": index_hints(
            tables, statements, big_table_bytes=big_table_bytes, sequential_share=sequential_share
        )[:top],
    }


def blocking_chains(blocked_by: Mapping[int, Sequence[int]]) -> list[dict[str, Any]]:
    """Return who blocks without being blocked, and all who wait for it, directly or through others.

    Pids of a cycle, which the server's deadlock detection ends by itself, have no root.
    """
    roots = {pid for pids in blocked_by.values() for pid in pids if pid not in blocked_by}
    chains = []
    for root in roots:
        waiting: set[int] = set()
        grown = True
        while grown:
            more = {pid for pid, pids in blocked_by.items() if ({root} | waiting) & set(pids)}
            grown = not more <= waiting
            waiting |= more
        chains.append({"pid": root, "waiting": sorted(waiting)})
    return sorted(chains, key=lambda chain: (-len(chain["waiting"]), chain["pid"]))


def index_hints(
    tables: Iterable[Mapping[str, Any]],
    statements: Iterable[Mapping[str, Any]],
    *,
    big_table_bytes: int,
    sequential_share: float,
) -> list[dict[str, Any]]:
    """Return big tables that are mostly read as a whole, with the slow statements that name them.

    It is a hint to look at a plan; nothing is created.
    """
    hints = []
    known = list(statements)
    for table in tables:
        scans = table["sequential_scans"] or 0
        share = scans / max(1, scans + table["index_scans"])
        if table["bytes"] < big_table_bytes or scans < 10 or share < sequential_share:
            continue
        short = table["table"].split(".", 1)[1]
        hints.append(
            {
                "table": table["table"],
                "bytes": table["bytes"],
                "sequential_scans": scans,
                "index_scans": table["index_scans"],
                "rows_per_scan": round((table["sequential_rows"] or 0) / scans),
                "statements": [row["query"] for row in known if short in row["query"].split()][:3],
            }
        )
    return sorted(hints, key=lambda hint: -hint["rows_per_scan"] * hint["sequential_scans"])


def _described(psql: Psql, chains: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not chains:
        return []
    pids = ",".join(str(chain["pid"]) for chain in chains[:20])
    rows = {row["pid"]: row for row in psql.ask(_BLOCKERS, {"pids": pids})}
    for chain in chains:
        row = rows.get(chain["pid"], {})
        chain |= {**row, "query": mask_sql(row.get("query") or ""), "waiting": chain["waiting"]}
    return chains
