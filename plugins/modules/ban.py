#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ban
short_description: Ban an address, or give it access again
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - A ban goes to CrowdSec, whose list keeps the reason, who asked and how long it lasts.
  - Where CrowdSec's local API doesn't answer, it goes to the jail of fail2ban whose bans last as long as
    asked, and is refused where none does; where nothing was asked for, to the one whose bans last longest.
    fail2ban keeps no reason. A warning says all that.
  - Access is given again at both, whoever banned.
  - Ends well only when nftables drops the address, or doesn't any more.
  - An address on C(koprogo_allowlist), a host of the inventory and the control node's own address are
    refused.
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
  address:
    description: One IPv4 or IPv6 address.
    type: str
    required: true
  state:
    description: Whether it is banned.
    type: str
    choices: [present, absent]
    default: present
  duration:
    description:
      - How long, such as V(90m), V(4h) or V(1d).
      - Without it, four hours, or where only fail2ban can ban, as long as it does.
    type: str
  reason:
    description: Why, for the list of decisions.
    type: str
    default: manual
  by:
    description: Who asked for it, for the list of decisions.
    type: str
    default: ""
seealso:
  - module: koprogo.observability.ban_info
"""

EXAMPLES = r"""
- name: Keep an attacker out for a day
  koprogo.observability.ban:
    address: 203.0.113.9
    duration: 1d
    reason: SQL injection against /api/v1/buildings
    by: ada

- name: Let it in again
  koprogo.observability.ban:
    address: 203.0.113.9
    state: absent
"""

RETURN = r"""
address:
  description: The address in its shortest form.
  returned: success
  type: str
  sample: 203.0.113.9
owner:
  description: Who enforces the ban; empty where nobody does.
  returned: success
  type: str
  sample: crowdsec
notes:
  description: What whoever enforces the ban can't do.
  returned: success
  type: list
  elements: str
  sample: []
before:
  description: The address' bans before.
  returned: success
  type: list
  elements: dict
  sample: []
after:
  description: The address' bans after.
  returned: success
  type: list
  elements: dict
  sample:
    - address: 203.0.113.9
      source: crowdsec
      reason: manual (by ada)
      origin: cscli
      remaining: 3h59m59s
dropped:
  description: Whether nftables drops the address now.
  returned: success
  type: bool
  sample: true
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._bans import (
    USUAL,
    Bans,
    parsed_address,
    parsed_duration,
    remaining,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner


def carry_out(bans: Bans, params: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Bring one address to the wanted state and say what was found."""
    address = parsed_address(params["address"])
    seconds = parsed_duration(params["duration"]) if params["duration"] else None
    present = params["state"] == "present"
    if present:
        bans.refuse_if_allowed(address)
    before, dropped = bans.of(address), bans.dropped(address)
    # One that is about to end is prolonged; a run that comes back soon changes nothing.
    lasting = bool(before) and remaining(before) >= (seconds or USUAL) / 2
    customary = bool(present and before and not lasting and not seconds)
    if customary:
        lasting = remaining(before) >= bans.span(None) / 2
    changed = not (lasting and dropped) if present else bool(before or dropped)
    owner = before[0]["source"] if before else ""
    notes: list[str] = []
    if changed and present and check and not customary:
        bans.span(seconds)
    if changed and not check:
        if present:
            reason = f"{params['reason']} (by {params['by']})" if params["by"] else params["reason"]
            owner, notes = bans.ban(address, seconds=seconds, reason=reason)
        else:
            bans.unban(address)
            owner = ""
    after = before if check or not changed else bans.of(address)
    return {
        "changed": changed,
        "address": address,
        "owner": owner,
        "notes": notes,
        "before": before,
        "after": after,
        "dropped": dropped if check or not changed else bans.dropped(address),
    }


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "duration": {"type": "str"},
            "reason": {"type": "str", "default": "manual"},
            "by": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        result = carry_out(Bans(Runner()), module.params, check=module.check_mode)
    except (KoprogoError, OSError) as error:
        module.fail_json(**as_failure(error))
    for note in result["notes"]:
        module.warn(note)
    if module._diff and result["changed"]:
        banned = f"{result['address']} banned\n"
        present = module.params["state"] == "present"
        result["diff"] = {"before": "" if present else banned, "after": banned if present else ""}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
