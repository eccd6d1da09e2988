#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Judge inventory, options and host before anything is changed
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Checks the inventory's groups, every option of every role that is to run on the host, the
    distribution, the ports that the components need and the presence of PostgreSQL on database
    hosts. All findings are reported together, one sentence each.
  - Options named like a role but unknown to it are errors, with the nearest known name.
options:
  ports:
    description:
      - TCP port on the loopback interface for each systemd unit. A port that a process outside
        its unit listens on is an error.
      - Set by the action plugin from the inventory when absent.
    type: dict
    default: {}
  postgresql:
    description:
      - Whether PostgreSQL's server must be installed.
      - Set by the action plugin from the inventory when absent.
    type: bool
    default: false
extends_documentation_fragment:
  - koprogo.observability.attributes.info
  - koprogo.observability.attributes.action
attributes:
  action:
    support: full
"""

EXAMPLES = r"""
- name: Stop before anything is changed if something is wrong
  koprogo.observability.preflight:
"""

RETURN = r"""
errors:
  description: One sentence for each finding, naming what was expected and what was found.
  returned: always
  type: list
  elements: str
  sample: ["prometheus_retention: expected a duration such as 15s, 12h or 30d, found '30 days'"]
components:
  description: Components that the inventory asks for on this host.
  returned: always
  type: list
  elements: str
  sample: [node_exporter, log_collector]
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._errors import KoprogoError
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._sockets import (
    Socket,
    SocketTable,
)
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import Systemd


def port_errors(ports: dict[str, int], systemd: Systemd, table: SocketTable) -> list[str]:
    """Ports that something other than the wanted unit listens on."""
    errors = []
    for unit, port in ports.items():
        wanted = Socket(protocol="tcp", address="*", port=port)
        if holder := table.holder(wanted, but=systemd.pids(unit)):
            errors.append(f"port {port}: expected it free for {unit}, found {holder} listening")
    return errors


def postgresql_errors() -> list[str]:
    """A sentence when no PostgreSQL server of Debian's layout is installed."""
    if any(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        return []
    return [
        "group 'database': expected PostgreSQL's server below /usr/lib/postgresql, found none; "
        "install it or take the host out of the group"
    ]


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "ports": {"type": "dict", "default": {}},
            "postgresql": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        errors = port_errors(module.params["ports"], Systemd(Runner()), SocketTable())
    except KoprogoError as error:
        module.fail_json(**error.as_result())
    if module.params["postgresql"]:
        errors += postgresql_errors()
    module.exit_json(changed=False, errors=errors)


if __name__ == "__main__":
    main()
