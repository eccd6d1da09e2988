#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_admin_password
short_description: Keep the password of Grafana's administrator
version_added: 0.1.0
author:
  - KoproGo contributors (@koprogo)
description:
  - Asks a running Grafana whether its administrator's password is the given one, and sets it by
    Grafana's own command if it is not. Grafana's configuration only counts at its first start.
  - The password is never on a command line, in a file, in a difference or in a result.
extends_documentation_fragment:
  - koprogo.observability.attributes
attributes:
  check_mode:
    support: full
    details:
      - Grafana is asked in check mode too. One that does not answer counts as not started yet, and a
        first start takes the password from the configuration.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  url:
    description: Where Grafana answers on its own host.
    type: str
    required: true
  user:
    description: Login of the administrator, the first account.
    type: str
    default: admin
  password:
    description: The password it is to have. At least five characters, one line.
    type: str
    required: true
  command:
    description: Grafana's command that sets the password and reads it from its standard input.
    type: list
    elements: str
    required: true
  run_as:
    description: System user that the command runs as, the owner of Grafana's database.
    type: str
    default: grafana
  timeout:
    description: How many seconds to wait for Grafana to answer.
    type: float
    default: 30.0
"""

EXAMPLES = r"""
- name: Keep the administrator's password
  koprogo.observability.grafana_admin_password:
    url: http://127.0.0.1:3001
    password: "{{ grafana_admin_password }}"
    command:
      - /usr/share/grafana/bin/grafana
      - cli
      - --homepath=/usr/share/grafana
      - --config=/etc/koprogo/grafana/grafana.ini
      - admin
      - reset-admin-password
      - --password-from-stdin
"""

RETURN = r"""
accepted_before:
  description: Whether Grafana took the password before; null in check mode where it does not answer.
  returned: success
  type: bool
  sample: false
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    ServiceError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._grafana import (
    Administrator,
    check_password,
)
from ansible_collections.koprogo.observability.plugins.module_utils._mask import Masker
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner


def _module() -> AnsibleModule:
    return AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "user": {"type": "str", "default": "admin"},
            "password": {"type": "str", "required": True, "no_log": True},
            # The command of that name; the password itself never is in it.
            "command": {"type": "list", "elements": "str", "required": True, "no_log": False},
            "run_as": {"type": "str", "default": "grafana"},
            "timeout": {"type": "float", "default": 30.0},
        },
        supports_check_mode=True,
    )


def main() -> None:
    """Compare, and set where it differs."""
    module = _module()
    params = module.params
    administrator = Administrator(
        url=params["url"],
        user=params["user"],
        password=params["password"],
        timeout=0.0 if module.check_mode else params["timeout"],
    )
    runner = Runner(masker=Masker([params["password"]]))
    try:
        check_password(params["password"])
        try:
            accepted = administrator.accepted()
        except ServiceError:
            if not module.check_mode:
                raise
            # Its first start takes the password from its configuration.
            module.exit_json(changed=False, accepted_before=None)
        if not accepted and not module.check_mode:
            administrator.set_password(runner, params["command"], run_as=params["run_as"])
    except (KoprogoError, OSError) as exc:
        module.fail_json(**as_failure(exc))
    module.exit_json(changed=not accepted, accepted_before=accepted)


if __name__ == "__main__":
    main()
