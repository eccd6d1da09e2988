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
  extra_ports:
    description: Further TCP ports of systemd units, judged like O(ports). Set by the action plugin.
    type: dict
    default: {}
  interfaces:
    description: Network interfaces that must exist. Set by the action plugin.
    type: list
    elements: str
    default: []
  logs:
    description: Logs that must exist, by the option that names them. Set by the action plugin.
    type: dict
    default: {}
  control_node:
    description:
      - Whether the address of the control node must be known from the connection.
      - Set by the action plugin.
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

from ansible_collections.koprogo.observability.plugins.module_utils._control_node import (
    client_address,
)
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


def interface_errors(names: list[str]) -> list[str]:
    """Interfaces that this host doesn't have, with those that it has."""
    there = sorted(path.name for path in Path("/sys/class/net").iterdir())
    return [
        f"suricata_interfaces: expected an interface of this host ({', '.join(there)}), found '{name}'"
        for name in names
        if name not in there
    ]


def log_errors(logs: dict[str, str]) -> list[str]:
    """Logs that a jail is to read and that aren't there: fail2ban would not start."""
    return [
        f"{option}: expected a log to watch, found no file {path}"
        for option, path in logs.items()
        if not Path(path).is_file()
    ]


def control_node_errors() -> list[str]:
    """A sentence where nobody could say whom a ban must never hit."""
    if client_address():
        return []
    return [
        "koprogo_control_addresses: expected the address that this host sees the control node under, "
        "found none in the connection; without it a ban could lock you out"
    ]


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "ports": {"type": "dict", "default": {}},
            "postgresql": {"type": "bool", "default": False},
            "extra_ports": {"type": "dict", "default": {}},
            "interfaces": {"type": "list", "elements": "str", "default": []},
            "logs": {"type": "dict", "default": {}},
            "control_node": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        systemd, table = Systemd(Runner()), SocketTable()
        errors = port_errors(module.params["ports"], systemd, table)
        errors += port_errors(module.params["extra_ports"], systemd, table)
    except KoprogoError as error:
        module.fail_json(**error.as_result())
    if module.params["postgresql"]:
        errors += postgresql_errors()
    errors += interface_errors(module.params["interfaces"]) + log_errors(module.params["logs"])
    if module.params["control_node"]:
        errors += control_node_errors()
    module.exit_json(changed=False, errors=errors)


if __name__ == "__main__":
    main()
