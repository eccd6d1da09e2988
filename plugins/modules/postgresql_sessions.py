#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_sessions
short_description: Cancel statements or end sessions of PostgreSQL, within limits
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Chooses client sessions by state, age, application, user and database, the oldest first, and cancels
    their statements or ends them.
  - Never touches a superuser's session, replication, a backup (C(pg_dump), C(pg_basebackup), C(pgbackrest)
    and the like), the server's own processes, or its own session; nor maintenance that runs or waits for its
    lock (C(VACUUM), C(ANALYZE), C(CLUSTER), C(COPY), C(REINDEX), C(REFRESH), C(ALTER), index builds).
  - Works on PostgreSQL 14 and later.
  - With O(action=terminate) a running statement is cancelled first; its session is ended only if it still
    fits after O(grace) seconds. What is idle in a transaction has no statement to cancel.
  - Who waits for a lock is left alone, whatever its age, as it is not what holds up the others.
  - Each session is judged once more in the statement that ends it, by pid and start time, so that one that
    did its work in between is left alone.
  - Signs in as the superuser through the socket, which works when all ordinary connections are taken.
  - Passes the guard of the host's ledger, as a lossy action.
extends_documentation_fragment:
  - koprogo.observability.attributes
  - koprogo.observability.postgresql
  - koprogo.observability.guard
attributes:
  check_mode:
    description: Returns the sessions that would be ended.
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  version:
    description: The major version of the cluster that O(port) has to be of. Without it any fits.
    type: str
    default: ""
  cluster:
    description: The name of the cluster that O(port) has to be of. Without it any fits.
    type: str
    default: ""
  states:
    description: States of the sessions. An empty list is refused.
    type: list
    elements: str
    required: true
  min_age:
    description:
      - Seconds since the state began, or since an active session's statement began; at least 1, at
        most a year.
    type: float
    required: true
  action:
    description: Whether statements are cancelled, or sessions ended.
    type: str
    choices: [cancel, terminate]
    default: cancel
  applications:
    description: Application names; any if empty.
    type: list
    elements: str
    default: []
  users:
    description: Users; any but protected ones if empty.
    type: list
    elements: str
    default: []
  databases:
    description: Databases; any if empty.
    type: list
    elements: str
    default: []
  protected:
    description: Further application names that are never touched.
    type: list
    elements: str
    default: []
  max_sessions:
    description: How many sessions are ended at most, from 1 to 50.
    type: int
    default: 10
  grace:
    description: Seconds between cancelling a statement and ending its session, from 0 to 3600.
    type: float
    default: 5.0
"""

EXAMPLES = r"""
- name: End sessions that forgot their transaction
  koprogo.observability.postgresql_sessions:
    states: [idle in transaction, idle in transaction (aborted)]
    min_age: 300
    action: terminate
    alert: DatabaseConnectionsHigh

- name: Cancel the API's runaway queries
  koprogo.observability.postgresql_sessions:
    states: [active]
    min_age: 60
    applications: [koprogo-api]
    max_sessions: 5
    alert: SlowApi
"""

RETURN = r"""
sessions:
  description: The sessions that were chosen, the oldest first.
  returned: success
  type: list
  elements: dict
  sample:
    - {pid: 4711, started: "2026-01-31 11:00:00+00", user: koprogo, database: koprogo_db,
       application: koprogo-api, client: 10.0.0.2, state: idle in transaction, age: 912.4,
       query: "SELECT * FROM users WHERE id = ?"}
left_alone:
  description: How many others fitted and were left, by reason.
  returned: success
  type: dict
  sample: {superuser: 1, backup: 1, above max_sessions: 4}
cancelled:
  description: Sessions whose statement was cancelled.
  returned: success
  type: list
  elements: int
  sample: []
terminated:
  description: Sessions that were ended.
  returned: success
  type: list
  elements: int
  sample: [4711]
left:
  description: Chosen sessions that are still there, or with O(action=cancel) still busy.
  returned: success
  type: list
  elements: int
  sample: []
used_before:
  description: Client sessions before.
  returned: success
  type: int
  sample: 85
used_after:
  description: Client sessions afterwards; in check mode what is predicted.
  returned: success
  type: int
  sample: 84
prediction:
  description: What was predicted.
  returned: success
  type: dict
  sample: {sessions: 1}
outcome:
  description: Whether it helped; empty where nothing was done.
  returned: success
  type: str
  sample: resolved
guard:
  description: What the ledger's guard said; empty where there was nothing to do.
  returned: always
  type: dict
  sample: {allowed: true, code: "", run_id: 20260131T115900Z-0a1b2c3d}
refused:
  description: Whether the guard refused, or in check mode would refuse.
  returned: always
  type: bool
  sample: false
"""

from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._acting_module import (
    ActingModule,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._ledger import GUARD_OPTIONS
from ansible_collections.koprogo.observability.plugins.module_utils._numbers import within
from ansible_collections.koprogo.observability.plugins.module_utils._pg_cluster import (
    choose,
    clusters,
)
from ansible_collections.koprogo.observability.plugins.module_utils._pg_sessions import (
    Selector,
    Sessions,
)
from ansible_collections.koprogo.observability.plugins.module_utils._postgresql import (
    CONNECTION_OPTIONS,
    Psql,
)
from ansible_collections.koprogo.observability.plugins.module_utils._remedy import (
    Remedy,
    require_effect,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner


def remedy(params: dict[str, Any]) -> Remedy:
    """What is to be done, after looking."""
    within("grace", params["grace"], 0, 3600)
    selector, runner = Selector.of(params), Runner()
    if params["version"] or params["cluster"]:
        # Whoever names one cluster must not meet the sessions of another.
        choose(
            clusters(runner),
            version=params["version"],
            name=params["cluster"],
            port=params["port"],
        )
    sessions = Sessions(Psql.from_options(runner, params), selector)
    seen = sessions.look(cap=params["max_sessions"])
    chosen, used = seen["sessions"], seen["used"]
    terminate = params["action"] == "terminate"

    def act() -> tuple[str, dict[str, Any]]:
        done = sessions.end(chosen, terminate=terminate, grace=params["grace"])
        after = sessions.look(cap=params["max_sessions"])["used"]
        outcome = "resolved" if not done["left"] else "not_resolved"
        return outcome, {**done, "used_after": after}

    return Remedy(
        name="end_sessions" if terminate else "cancel_statements",
        reversibility="lossy",
        needed=bool(chosen),
        evidence={"sessions": chosen, "left_alone": seen["left_alone"], "used": used},
        prediction={"sessions": len(chosen)},
        act=act,
        result={
            "sessions": chosen,
            "left_alone": seen["left_alone"],
            "cancelled": [],
            "terminated": [],
            "left": [],
            "used_before": used,
            "used_after": used - len(chosen) if terminate else used,
        },
        before="".join(f"{row['pid']} {row['application']}: {row['state']}\n" for row in chosen),
    )


def main() -> None:
    """Module entry point."""
    names: dict[str, Any] = {"type": "list", "elements": "str", "default": []}
    module = ActingModule(
        argument_spec={
            **CONNECTION_OPTIONS,
            **GUARD_OPTIONS,
            "version": {"type": "str", "default": ""},
            "cluster": {"type": "str", "default": ""},
            "states": {"type": "list", "elements": "str", "required": True},
            "min_age": {"type": "float", "required": True},
            "action": {"type": "str", "choices": ["cancel", "terminate"], "default": "cancel"},
            "applications": names,
            "users": names,
            "databases": names,
            "protected": names,
            "max_sessions": {"type": "int", "default": 10},
            "grace": {"type": "float", "default": 5.0},
        },
        supports_check_mode=True,
    )
    try:
        result = remedy(module.params).run(module.params, check=module.check_mode)
        require_effect(result, "sessions that were chosen are still there")
    except (KoprogoError, OSError) as error:
        module.fail_json(**as_failure(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
