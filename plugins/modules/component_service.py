#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: component_service
short_description: Run a unit from what is installed and configured now
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Unmasks, reloads systemd's configuration, enables and starts a unit, each only where needed.
  - Restarts a running unit whose program was replaced by an upgrade, or whose unit file or
    drop-in changed after its start.
  - Watches a unit that it has started for O(settle) seconds, so that a service that dies at once
    is a failure of this task and not a success. One that dies a little later is found by
    M(koprogo.observability.component_verify), which lets a unit live for a second first.
options:
  unit:
    description: Name of the one unit; a pattern is refused.
    type: str
    required: true
  state:
    description:
      - Whether the unit runs.
      - A unit that does not exist counts as V(stopped). One that lives on without its files is stopped, and
        its failure cleared.
    type: str
    choices: [started, stopped]
    default: started
  enabled:
    description:
      - Whether the unit starts at boot. The default is V(true) with O(state=started); with
        O(state=stopped) it stays as it is.
    type: bool
  settle:
    description: How many seconds a started service must live, from 0 to 3600.
    type: float
    default: 0.25
  timeout:
    description: How many seconds systemd may take to start or stop the unit, from 1 to 86400.
    type: float
    default: 120.0
attributes:
  check_mode:
    description: Predicts the change; a unit that is not installed yet is no failure.
    support: full
  diff_mode:
    description: Shows the unit's state before and after.
    support: full
"""

EXAMPLES = r"""
- name: Run Prometheus
  koprogo.observability.component_service:
    unit: prometheus.service
    enabled: true

- name: Stop Prometheus for good
  koprogo.observability.component_service:
    unit: prometheus.service
    state: stopped
    enabled: false
"""

RETURN = r"""
unit:
  description: Name of the unit.
  returned: success
  type: str
  sample: prometheus.service
action:
  description: What was done, or would be in check mode.
  returned: success
  type: str
  sample: restart
reasons:
  description: Why a running unit was restarted.
  returned: success
  type: list
  elements: str
  sample: ["the running program /usr/bin/prometheus was replaced or removed"]
active_state:
  description: The state after the task, by systemd's names.
  returned: always
  type: str
  sample: active
sub_state:
  description: The finer state after the task.
  returned: always
  type: str
  sample: running
enabled:
  description: Whether the unit starts at boot.
  returned: success
  type: bool
  sample: true
pid:
  description: The main process, 0 where there is none.
  returned: success
  type: int
  sample: 4711
restarts:
  description: How often systemd has restarted the unit by itself.
  returned: always
  type: int
  sample: 0
notes:
  description: What a reader of the result should know.
  returned: success
  type: list
  elements: str
  sample: ["x.service does not exist yet; a real run installs it first."]
kept:
  description: Always empty.
  returned: success
  type: list
  elements: str
  sample: []
journal:
  description: The last lines of the unit's journal.
  returned: failure
  type: list
  elements: str
  sample: ["listen tcp 127.0.0.1:9090: bind: address already in use"]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._numbers import DAY, within
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._service import Keeper
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import Systemd


def main() -> None:
    """Bring one unit into the wanted state."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "enabled": {"type": "bool"},
            "settle": {"type": "float", "default": 0.25},
            "timeout": {"type": "float", "default": 120.0},
        },
        supports_check_mode=True,
    )
    params = module.params
    enabled = params["enabled"]
    try:
        within("settle", params["settle"], 0, 3600)
        within("timeout", params["timeout"], 1, DAY)
        systemd = Systemd(Runner(), timeout=params["timeout"])
        keeper = Keeper(systemd, params["unit"], check=module.check_mode, settle=params["settle"])
        if params["state"] == "started":
            keeper.started(enabled=True if enabled is None else enabled)
        else:
            keeper.stopped(enabled=enabled)
        result = keeper.result()
    except (KoprogoError, OSError) as exc:
        module.fail_json(**as_failure(exc, about=params["unit"]))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
