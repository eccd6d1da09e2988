#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database_role
short_description: A least-privilege PostgreSQL role for an exporter on the same host
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Provides a role that signs in through the local socket as the operating system's user of the same
    name (C(peer)), so that there is no password to keep, and that may read only what it was given.
  - Works as PostgreSQL's own operating system user with C(psql), which is there wherever a server is;
    no Python library is needed.
  - The role is brought to exactly what the options say. Attributes, memberships, settings and privileges
    in O(database) that they don't name are taken away, of whatever kind, such as CREATE on the database or on
    a schema, sequences, functions, and default privileges on what is yet to be made.
  - What everybody may (C(PUBLIC)), what the role owns, and its privileges in other databases stay.
  - A role of that name which something else made is never touched.
extends_documentation_fragment:
  - koprogo.observability.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: The role, and the operating system's user that may be it.
    type: str
    required: true
  state:
    description: Whether the role is there. V(absent) also takes its privileges in O(database) away.
    type: str
    choices: [present, absent]
    default: present
  database:
    description: The database to connect to, and whose tables O(select) names.
    type: str
    default: postgres
  member_of:
    description: Roles whose privileges it has, such as C(pg_monitor).
    type: list
    elements: str
    default: []
  connection_limit:
    description: How many connections it may hold at once; V(-1) is no limit.
    type: int
    default: 5
  settings:
    description: Server settings of its sessions, such as C(statement_timeout).
    type: dict
    default: {}
  select:
    description: Columns that it may read, by table; a table without a schema is in C(public).
    type: dict
    default: {}
  socket:
    description: Directory of the server's unix socket.
    type: path
    default: /var/run/postgresql
  port:
    description: The server's port, which names the socket.
    type: int
    default: 5432
  superuser:
    description: The server's superuser and operating system user.
    type: str
    default: postgres
"""

EXAMPLES = r"""
- name: Let the exporter see the server's statistics
  koprogo.observability.database_role:
    name: postgres_exporter
    member_of: [pg_monitor]
    settings:
      statement_timeout: 5s

- name: Let the business metrics see dates, and nothing personal
  koprogo.observability.database_role:
    name: sql_exporter
    database: koprogo_db
    select:
      users: [created_at]
"""

RETURN = r"""
statements:
  description: What was carried out, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["GRANT pg_monitor TO postgres_exporter"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._database_role import (
    DatabaseRole,
    Wanted,
    removal,
    statements,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "database": {"type": "str", "default": "postgres"},
            "member_of": {"type": "list", "elements": "str", "default": []},
            "connection_limit": {"type": "int", "default": 5},
            "settings": {"type": "dict", "default": {}},
            "select": {"type": "dict", "default": {}},
            "socket": {"type": "path", "default": "/var/run/postgresql"},
            "port": {"type": "int", "default": 5432},
            "superuser": {"type": "str", "default": "postgres"},
        },
        supports_check_mode=True,
    )
    params = module.params
    server = DatabaseRole(
        Runner(),
        database=params["database"],
        socket=params["socket"],
        port=params["port"],
        superuser=params["superuser"],
    )
    result: dict[str, Any] = {}
    try:
        wanted = Wanted.of(params)
        todo = []
        if params["state"] == "present":
            found = server.ask(wanted)
            todo = statements(wanted, found, params["database"])
        # Where there is no PostgreSQL any more there is no role of it either.
        elif server.installed():
            found = server.ask(wanted)
            todo = removal(wanted.name, found)
        if todo and not module.check_mode:
            server.apply(todo, found)
            if params["state"] == "present":
                server.confirm(wanted)
    except (KoprogoError, OSError) as error:
        module.fail_json(**as_failure(error))
    if module._diff:
        result["diff"] = {"before": "", "after": "".join(f"{line};\n" for line in todo)}
    module.exit_json(changed=bool(todo), statements=todo, **result)


if __name__ == "__main__":
    main()
