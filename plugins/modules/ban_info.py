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
seealso:
  - module: koprogo.observability.ban
"""

EXAMPLES = r"""
- name: Who is banned?
  koprogo.observability.ban_info:
  register: bans
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
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._bans import (
    Bans,
    parsed_address,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import KoprogoError
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={"address": {"type": "str", "default": ""}}, supports_check_mode=True
    )
    bans = Bans(Runner())
    result: dict[str, Any] = {}
    try:
        if module.params["address"]:
            address = parsed_address(module.params["address"])
            result = {"bans": bans.of(address), "dropped": bans.dropped(address)}
        else:
            result = {"bans": bans.rows()}
    except KoprogoError as error:
        module.fail_json(**error.as_result())
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
