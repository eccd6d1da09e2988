#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_verify_host
short_description: Look at what a host runs of the stack
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Asks systemd and the kernel, not the files. Units are enabled, running and not restarting, their
    hardening holds, and their sockets are on the loopback interface or behind a door.
  - Writes one marked line into each log, the way its daemon does, for
    M(koprogo.observability.stack_verify_monitoring) to find in Loki. This is the only thing it writes, and
    not in check mode. It isn't reported as a change.
  - A finding is a check in the result, never a failure of the task.
  - M(koprogo.observability.stack_verify) judges what this module found.
options:
  units:
    description:
      - The units to look at.
      - Set by the action plugin from the inventory when absent.
    type: list
    elements: dict
    default: []
    suboptions:
      unit:
        description: The unit's name.
        type: str
        required: true
      port:
        description: TCP port that it must listen on. V(0) means that this isn't judged.
        type: int
        default: 0
      doors:
        description: Ports that it may serve on O(addresses).
        type: list
        elements: int
        default: []
      max_exposure:
        description: Highest exposure by C(systemd-analyze security). V(0) means that this isn't judged.
        type: float
        default: 0
  addresses:
    description:
      - The host's own addresses that doors may be on.
      - Set by the action plugin from the inventory when absent.
    type: list
    elements: str
    default: []
  logs:
    description: The logs that get a marked line. With O(logs[].group), only on hosts of that inventory group.
    type: list
    elements: dict
    default: []
    suboptions:
      job:
        description: The label C(job) that the log's lines have in Loki.
        type: str
        required: true
      kind:
        description:
          - How a line is written. V(json) appends to O(logs[].path), V(journal) and V(auth) go through
            C(logger), V(unit) is an entry of the journal about the unit O(logs[].path), V(postgresql) is
            a harmless anonymous block that raises a message.
        type: str
        choices: [auth, journal, json, postgresql, unit]
        required: true
      path:
        description: File of the log for V(json), name of the unit for V(unit).
        type: str
        default: ""
      group:
        description: Inventory group. The action plugin leaves the log out on other hosts.
        type: str
        default: ""
  max_exposure:
    description: The exposure that the action plugin demands of the collection's own units.
    type: float
    default: 2.0
  host:
    description: Name of the host in the results. Set by the action plugin.
    type: str
    default: localhost
extends_documentation_fragment:
  - koprogo.observability.attributes.action
attributes:
  action:
    support: full
  check_mode:
    description: Writes no marked lines in check mode.
    support: full
  diff_mode:
    description: Nothing is changed, so there is nothing to show.
    support: N/A
"""

EXAMPLES = r"""
- name: Look at the host
  koprogo.observability.stack_verify_host:
    logs:
      - {job: koprogo-api, kind: json, path: /var/log/koprogo/api.log, group: api}
  register: verify_host
"""

RETURN = r"""
checks:
  description: What was found.
  returned: always
  type: list
  elements: dict
  sample:
    - check: units run
      where: api1
      result: failed
      evidence: "prometheus-node-exporter.service: inactive (dead)"
      look: systemctl status prometheus-node-exporter.service
marks:
  description: The marked lines that were written, to be looked for in Loki.
  returned: always
  type: list
  elements: dict
  sample: [{job: koprogo-api, host: api1, token: 6f1c2b7a90de, written: 1767225600.0}]
"""

import secrets
import socket
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._sockets import SocketTable
from ansible_collections.koprogo.observability.plugins.module_utils._stack import skipped
from ansible_collections.koprogo.observability.plugins.module_utils._stack_host import (
    LOG_KINDS,
    Unit,
    hardening,
    sockets,
    units,
    write_marks,
)
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import Systemd


def resolved(names: list[str]) -> list[str]:
    """The IP addresses of the names; an unknown name has none."""
    addresses: set[str] = set()
    for name in names:
        try:
            found = socket.getaddrinfo(name.strip("[]"), None, type=socket.SOCK_STREAM)
        except OSError:
            continue
        addresses.update(str(entry[4][0]) for entry in found)
    return sorted(addresses)


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "units": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "unit": {"type": "str", "required": True},
                    "port": {"type": "int", "default": 0},
                    "doors": {"type": "list", "elements": "int", "default": []},
                    "max_exposure": {"type": "float", "default": 0},
                },
            },
            "addresses": {"type": "list", "elements": "str", "default": []},
            "logs": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "job": {"type": "str", "required": True},
                    "kind": {"type": "str", "required": True, "choices": list(LOG_KINDS)},
                    "path": {"type": "str", "default": ""},
                    "group": {"type": "str", "default": ""},
                },
            },
            "max_exposure": {"type": "float", "default": 2.0},
            "host": {"type": "str", "default": "localhost"},
        },
        supports_check_mode=True,
    )
    runner = Runner()
    host = module.params["host"]
    try:
        wanted = [Unit.from_options(entry) for entry in module.params["units"]]
        checks = units(runner, host, wanted)
        checks += hardening(runner, host, wanted)
        addresses = resolved(module.params["addresses"])
        checks += sockets(Systemd(runner), SocketTable(), host, wanted, addresses)
        marks: list[dict[str, Any]] = []
        if module.check_mode and module.params["logs"]:
            checks.append(skipped("marked line written", host, "not in check mode"))
        else:
            found, marks = write_marks(runner, host, module.params["logs"], secrets.token_hex(6))
            checks += found
    except (KoprogoError, OSError) as error:
        module.fail_json(**as_failure(error))
    module.exit_json(changed=False, checks=[check.as_result() for check in checks], marks=marks)


if __name__ == "__main__":
    main()
