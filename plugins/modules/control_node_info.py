#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: control_node_info
short_description: Tell under which address a host sees the control node
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Asks the SSH connection that the module came by. What bans addresses must know this one, or it
    could lock out whoever manages the host.
extends_documentation_fragment:
  - koprogo.observability.attributes.info
options: {}
"""

EXAMPLES = r"""
- name: Learn the control node's address
  koprogo.observability.control_node_info:
  register: control_node
"""

RETURN = r"""
address:
  description: The address; empty where the connection isn't SSH's.
  returned: always
  type: str
  sample: 198.51.100.7
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._control_node import (
    client_address,
)


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    module.exit_json(changed=False, address=client_address())


if __name__ == "__main__":
    main()
