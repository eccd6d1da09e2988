#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_recovery
short_description: Bring a PostgreSQL cluster back by a restart, if a restart is the answer
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Collects the evidence first, the cluster's and the unit's state, the tail of its log, the space for its
    data, its lock file, and signs of damaged data.
  - A cluster that answers a query is left alone; one that is replaying its log is waited for.
  - Refuses where a restart could do harm. Signs of damaged data lead to disaster recovery, a full disk to the
    remediation of DiskFull, a data directory that another postmaster holds to a human, and so does
    a cluster that C(start.conf) leaves to others. An automatic run starts none that was stopped in order.
  - Never repairs a data directory; C(pg_resetwal) is not used by anything here.
  - It is ready when it answers a query, not when its unit is active.
  - Passes the guard of the host's ledger, as a safe action.
extends_documentation_fragment:
  - koprogo.observability.attributes
  - koprogo.observability.guard
attributes:
  check_mode:
    description: Says whether it would restart the cluster, or why it would refuse.
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  version:
    description: The cluster's major version, needed where there are several.
    type: str
    default: ""
  cluster:
    description: The cluster's name, needed where there are several.
    type: str
    default: ""
  port:
    description: The cluster's port, which tells it from others of the host too. Without it any fits.
    type: int
  socket:
    description: Directory of the server's unix socket.
    type: path
    default: /var/run/postgresql
  superuser:
    description: The server's superuser and operating system user.
    type: str
    default: postgres
  wait:
    description: Seconds within which it has to answer a query, and which a start gets, from 0 to 86400.
    type: float
    default: 120.0
  settle:
    description: Seconds after which it has to answer once more, from 0 to 3600.
    type: float
    default: 2.0
  min_free_bytes:
    description: Bytes that have to be free where its data and its write-ahead log are.
    type: int
    default: 67108864
  signs_within:
    description: Hours for which signs of damaged data in the log count, from 0 to 87600.
    type: float
    default: 24.0
"""

EXAMPLES = r"""
- name: Bring the database back
  koprogo.observability.postgresql_recovery:
    alert: DatabaseDown
"""

RETURN = r"""
condition:
  description:
    - What was found. C(ready), C(starting), C(full) if all connections are taken, C(closed) if it takes
      connections and does not let us ask, C(slow) if it ends our question for want of time, C(hung) if it
      takes a connection and says nothing or its postmaster lives and takes none, C(down), and C(unclear)
      if it could not be asked. The last three are only said after three looks.
  returned: always
  type: str
  sample: down
said:
  description: What the server said instead of an answer.
  returned: always
  type: str
  sample: "connection to server on socket failed: No such file or directory"
cluster:
  description: The cluster.
  returned: always
  type: dict
  sample: {version: "15", name: main, port: 5432, status: down, unit: postgresql@15-main.service}
unit:
  description: The unit before.
  returned: always
  type: dict
  sample: {load: loaded, active: failed, sub: failed, result: exit-code, enabled: enabled-runtime}
disks:
  description: What is free where its data and its write-ahead log are.
  returned: always
  type: list
  elements: dict
  sample: [{path: /var/lib/postgresql/15/main, free_bytes: 1073741824, free_inodes: 65000, short: false}]
standby:
  description: Whether it is a standby or set to recover.
  returned: always
  type: bool
  sample: false
lock_file:
  description: What C(postmaster.pid) says. C(absent), C(held), or C(stale) with an explanation.
  returned: always
  type: dict
  sample:
    state: stale
    pid: 4711
    ours: false
    socket: /var/run/postgresql
    explanation: no process has pid 4711
start:
  description: What C(start.conf) says. One that is not started by the system is left alone.
  returned: always
  type: str
  sample: auto
logs:
  description: The logs that could be read. Without one an automatic run is refused.
  returned: always
  type: list
  elements: str
  sample: [/var/log/postgresql/postgresql-15-main.log]
corruption_signs:
  description: Lines of the log that tell of damaged data.
  returned: always
  type: list
  elements: str
  sample: []
no_space_messages:
  description: Lines of the log that tell of a full disk.
  returned: always
  type: list
  elements: str
  sample: []
log_tail:
  description: The last lines of the cluster's log.
  returned: always
  type: list
  elements: str
  sample: ["2026-01-31 11:59:00.000 UTC [1] LOG:  database system is shut down"]
condition_after:
  description: What was found after the restart.
  returned: when it was restarted
  type: str
  sample: ready
problem:
  description: Why the restart did not help, empty if it did.
  returned: when it was restarted
  type: str
  sample: ""
seconds:
  description: How long the restart took.
  returned: when it was restarted
  type: float
  sample: 4.1
prediction:
  description: What was predicted.
  returned: always
  type: dict
  sample: {restarts: 1}
outcome:
  description: Whether it helped; empty where nothing was done.
  returned: always
  type: str
  sample: resolved
refused:
  description: Whether it was refused, or in check mode would be.
  returned: always
  type: bool
  sample: false
reason:
  description: Why it was refused.
  returned: when it was refused
  type: str
  sample: PostgreSQL needs room to recover
code:
  description: The reason's short form.
  returned: when it was refused
  type: str
  sample: disk_full
guard:
  description: What the ledger's guard said; empty where it was not asked.
  returned: always
  type: dict
  sample: {allowed: true, code: "", run_id: 20260131T115900Z-0a1b2c3d}
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
from ansible_collections.koprogo.observability.plugins.module_utils._pg_cluster import (
    PostgresqlRecovery,
    choose,
    clusters,
)
from ansible_collections.koprogo.observability.plugins.module_utils._remedy import (
    Remedy,
    require_effect,
    restart_of,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner

_OWN = ("socket", "superuser", "wait", "settle", "min_free_bytes", "signs_within", "automatic")


def remedy(params: dict[str, Any]) -> Remedy:
    """What is to be done, after looking."""
    runner = Runner()
    cluster = choose(
        clusters(runner),
        version=params["version"],
        name=params["cluster"],
        port=params["port"],
    )
    recovery = PostgresqlRecovery(
        cluster=cluster, runner=runner, **{name: params[name] for name in _OWN}
    )
    return restart_of(recovery, cluster.unit, well="ready")


def main() -> None:
    """Module entry point."""
    module = ActingModule(
        argument_spec={
            **GUARD_OPTIONS,
            "version": {"type": "str", "default": ""},
            "cluster": {"type": "str", "default": ""},
            "port": {"type": "int"},
            "socket": {"type": "path", "default": "/var/run/postgresql"},
            "superuser": {"type": "str", "default": "postgres"},
            "wait": {"type": "float", "default": 120.0},
            "settle": {"type": "float", "default": 2.0},
            "min_free_bytes": {"type": "int", "default": 64 * 1024 * 1024},
            "signs_within": {"type": "float", "default": 24.0},
        },
        supports_check_mode=True,
    )
    try:
        result = remedy(module.params).run(module.params, check=module.check_mode)
        require_effect(result, "the cluster answers no query")
    except (KoprogoError, OSError) as error:
        module.fail_json(**as_failure(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
