#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ban_info
short_description: List who is banned, by whom and why
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Asks CrowdSec and fail2ban, and nftables about a single address.
extends_documentation_fragment:
  - koprogo.observability.attributes.info
options:
  address:
    description: Tell only about this address, and whether its packets are dropped.
    type: str
    default: ""
  logs:
    description: Logs of which the newest lines that name O(address) are told, as paths or patterns.
    type: list
    elements: path
    default: []
  journal:
    description: Syslog identifiers of which the journal is asked in the same way.
    type: list
    elements: str
    default: []
  lines:
    description: How many lines of each log are told at most, from 1 to 1000.
    type: int
    default: 200
seealso:
  - module: koprogo.observability.ban
"""

EXAMPLES = r"""
- name: Who is banned?
  koprogo.observability.ban_info:
  register: bans

- name: Is this one kept out, and what did it do?
  koprogo.observability.ban_info:
    address: 203.0.113.9
    logs: [/var/log/koprogo/api.log, /var/log/suricata/eve.json]
    journal: [sshd, sshd-session]
  register: attacker
"""

RETURN = r"""
bans:
  description: One row for each ban.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The address.
      type: str
      sample: 203.0.113.9
    source:
      description: V(crowdsec) or V(fail2ban).
      type: str
      sample: crowdsec
    reason:
      description: The reason, or CrowdSec's scenario.
      type: str
      sample: fail2ban sshd
    origin:
      description: Who decided, by CrowdSec's names, or fail2ban's jail.
      type: str
      sample: cscli
    remaining:
      description: How long it still lasts, where known.
      type: str
      sample: 3h59m
dropped:
  description: Whether nftables drops O(address) now.
  returned: if O(address) was given
  type: bool
  sample: true
sightings:
  description: Each log that names O(address) within its last 32 MiB.
  returned: if O(address) was given
  type: list
  elements: dict
  contains:
    log:
      description: Its path, or V(journal).
      type: str
      sample: /var/log/koprogo/api.log
    found:
      description: How many lines name the address; of the journal at most O(lines).
      type: int
      sample: 1234
    lines:
      description: The newest of them, oldest first, each of at most 4096 characters.
      type: list
      elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._bans import (
    Bans,
    parsed_address,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    KoprogoError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._sightings import sightings


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "default": ""},
            "logs": {"type": "list", "elements": "path", "default": []},
            "journal": {"type": "list", "elements": "str", "default": []},
            "lines": {"type": "int", "default": 200},
        },
        supports_check_mode=True,
    )
    runner = Runner()
    bans = Bans(runner)
    result: dict[str, Any] = {}
    wanted = module.params
    try:
        if not 1 <= wanted["lines"] <= 1000:
            raise InputError(f"lines: expected a number from 1 to 1000, found {wanted['lines']}.")
        if wanted["address"]:
            address = parsed_address(wanted["address"])
            result = {
                "bans": bans.of(address),
                "dropped": bans.dropped(address),
                "sightings": sightings(
                    address,
                    logs=wanted["logs"],
                    journal=wanted["journal"],
                    lines=wanted["lines"],
                    runner=runner,
                ),
            }
        else:
            result = {"bans": bans.rows()}
    except (KoprogoError, OSError) as error:
        module.fail_json(**as_failure(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
