#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_activity_info
short_description: What a PostgreSQL cluster is busy with
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Returns sessions by state, application and age, locks and who blocks whom, the slowest statements, the
    cache's hit ratio, deadlocks, an estimate of the tables' bloat, big tables that may lack an index, and how
    far replicas are behind.
  - Signs in as the superuser through the socket, which works when all ordinary connections are taken.
  - Literals in statements are replaced by C(?), as they may be personal data.
  - Bloat is what a table has beyond the size that its rows' number and mean width need, by the page layout
    in PostgreSQL's manual; it is an estimate and needs C(ANALYZE) to have seen the table.
extends_documentation_fragment:
  - koprogo.observability.attributes.info
  - koprogo.observability.postgresql
options:
  top:
    description: How many sessions, statements and tables are returned at most.
    type: int
    default: 10
  big_table_bytes:
    description: From which size on a table, or a table's bloat, is worth a hint.
    type: int
    default: 8388608
  sequential_share:
    description: From which share of sequential scans on, from 0 to 1, a big table may lack an index.
    type: float
    default: 0.5
"""

EXAMPLES = r"""
- name: See who holds the connections
  koprogo.observability.postgresql_activity_info:
    database: koprogo_db
  register: activity
"""

RETURN = r"""
version:
  description: The server's version number.
  returned: success
  type: int
  sample: 150008
standby:
  description: Whether it is a standby.
  returned: success
  type: bool
  sample: false
max_connections:
  description: How many connections there are at most.
  returned: success
  type: int
  sample: 100
reserved:
  description: How many of them only superusers and reserved roles get.
  returned: success
  type: int
  sample: 3
used:
  description: How many client sessions there are.
  returned: success
  type: int
  sample: 85
free:
  description: How many an ordinary user can still have.
  returned: success
  type: int
  sample: 12
states:
  description: Sessions by state.
  returned: success
  type: dict
  sample: {active: 3, idle: 40, idle in transaction: 42}
groups:
  description: Sessions by state, application, user and database. Ages in seconds.
  returned: success
  type: list
  elements: dict
  sample:
    - {state: idle in transaction, application: koprogo-api, user: koprogo, database: koprogo_db,
       sessions: 42, oldest_state_age: 912.4, oldest_transaction_age: 912.5}
sessions:
  description: Sessions that are not idle, the oldest transaction first. Ages in seconds.
  returned: success
  type: list
  elements: dict
  sample: [{pid: 4711, state: active, transaction_age: 912.5, query: "SELECT * FROM users WHERE id = ?"}]
waiting:
  description: Sessions that wait for a lock, and for whom.
  returned: success
  type: list
  elements: dict
  sample: [{pid: 4712, blocked_by: [4711], mode: RowExclusiveLock, relation: expenses, query_age: 30.1}]
blocking:
  description: Sessions that others wait for and that wait for nobody; those with the most waiting first.
  returned: success
  type: list
  elements: dict
  sample: [{pid: 4711, waiting: [4712, 4713], state: idle in transaction, transaction_age: 912.5}]
statistics:
  description: Whether C(pg_stat_statements) is there.
  returned: success
  type: bool
  sample: true
statements:
  description: The slowest statements by their mean time.
  returned: success
  type: list
  elements: dict
  sample: [{id: "-77", calls: 12, mean_ms: 1802.5, max_ms: 2100.1, total_ms: 21630.0, query: "SELECT ?"}]
replicas:
  description:
    - Who receives the write-ahead log, running base backups with C(state=backup) included.
    - C(behind_bytes) is what was written and not yet replayed there, C(behind_seconds) how long that takes;
      none where nothing is replayed, or nothing was written for a while.
  returned: success
  type: list
  elements: dict
  sample:
    - {pid: 4720, application: 15/standby, client: 10.0.0.3, state: streaming, sync: async, behind_bytes: 0,
       behind_seconds: 0.002}
cache:
  description: How often each database found its pages in memory, and its deadlocks; since its last reset.
  returned: success
  type: list
  elements: dict
  sample: [{database: koprogo_db, hits: 9900, reads: 100, hit_ratio: 0.99, deadlocks: 0}]
bloat:
  description: Tables with bloat, the most first.
  returned: success
  type: list
  elements: dict
  sample: [{table: public.expenses, bytes: 104857600, bloat_bytes: 52428800, rows: 100000, dead_rows: 90000}]
missing_indexes:
  description: Big tables that are mostly read as a whole, with slow statements that name them.
  returned: success
  type: list
  elements: dict
  sample:
    - {table: public.expenses, bytes: 104857600, sequential_scans: 900, index_scans: 10,
       rows_per_scan: 100000, statements: ["SELECT sum(amount) FROM expenses WHERE building_id = $1"]}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._pg_activity import activity
from ansible_collections.koprogo.observability.plugins.module_utils._postgresql import (
    CONNECTION_OPTIONS,
    Psql,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            **CONNECTION_OPTIONS,
            "top": {"type": "int", "default": 10},
            "big_table_bytes": {"type": "int", "default": 8 * 1024 * 1024},
            "sequential_share": {"type": "float", "default": 0.5},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        found = activity(
            Psql.from_options(Runner(), params),
            top=max(1, min(params["top"], 25)),
            big_table_bytes=params["big_table_bytes"],
            sequential_share=params["sequential_share"],
        )
    except (KoprogoError, OSError) as error:
        module.fail_json(**as_failure(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
