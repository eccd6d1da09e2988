#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alert_info
short_description: Whether an alert of a host is resolved, and stayed so
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Asks Prometheus for the state of an alert, once or until it was inactive for O(hold) seconds.
  - An alert that isn't there counts as resolved only if its rule exists, is evaluated without error, and the
    host's targets are scraped and up. Else the outcome is V(inconclusive), as it is without an answer.
  - Tells on which other hosts the alert fires too, or why that is not known.
extends_documentation_fragment:
  - koprogo.observability.attributes.info
options:
  alert:
    description: The alert's name.
    type: str
    required: true
  host:
    description: The alert's label C(host).
    type: str
    required: true
  jobs:
    description: Jobs of the host whose targets have to be up; all that Prometheus knows if empty.
    type: list
    elements: str
    default: []
  url:
    description: Prometheus.
    type: str
    default: http://127.0.0.1:9090
  wait:
    description: Whether to wait until it is resolved.
    type: bool
    default: false
  hold:
    description: Seconds for which it has to stay inactive, when waiting, from 0 to 86400.
    type: float
    default: 60
  timeout:
    description: Seconds to wait at most, O(hold) included, from 0 to 86400.
    type: float
    default: 300
  interval:
    description: Seconds between two looks, from 0.1 to 3600.
    type: float
    default: 5
  max_age:
    description: Seconds after which a sample or an evaluation is too old, from 1 to 86400.
    type: float
    default: 120
"""

EXAMPLES = r"""
- name: See that the alert is gone, and stays away
  koprogo.observability.alert_info:
    alert: DiskFull
    host: db1
    jobs: [node]
    wait: true
    hold: 120
  register: verdict
"""

RETURN = r"""
outcome:
  description: V(resolved), V(not_resolved) or V(inconclusive).
  returned: success
  type: str
  sample: resolved
alert_state:
  description: What was seen last, V(firing), V(pending), V(inactive) or V(unknown).
  returned: success
  type: str
  sample: inactive
reason:
  description: Why it is unknown.
  returned: success
  type: str
  sample: ''
held:
  description: Seconds for which it was inactive.
  returned: success
  type: float
  sample: 120.4
seconds:
  description: Seconds that were waited.
  returned: success
  type: float
  sample: 181.2
looks:
  description: How often Prometheus was asked.
  returned: success
  type: int
  sample: 36
alerts:
  description: Labels of the alerts that were there last, and as C(value) what their rule measured.
  returned: success
  type: list
  elements: dict
  sample: []
history:
  description: Each change of the state, with the seconds since the beginning.
  returned: success
  type: list
  elements: dict
  sample:
    - {after: 0.0, state: firing, reason: ''}
    - {after: 60.8, state: inactive, reason: ''}
hosts:
  description: All hosts on which the alert fires.
  returned: success
  type: list
  elements: str
  sample: [db1, db2]
hosts_reason:
  description: Why RV(hosts) may not be all of them; empty if they are.
  returned: success
  type: str
  sample: ''
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._alert import (
    Alert,
    await_resolved,
    firing_hosts,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._stack_api import Api


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "alert": {"type": "str", "required": True},
            "host": {"type": "str", "required": True},
            "jobs": {"type": "list", "elements": "str", "default": []},
            "url": {"type": "str", "default": "http://127.0.0.1:9090"},
            "wait": {"type": "bool", "default": False},
            "hold": {"type": "float", "default": 60.0},
            "timeout": {"type": "float", "default": 300.0},
            "interval": {"type": "float", "default": 5.0},
            "max_age": {"type": "float", "default": 120.0},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        alert = Alert(
            name=params["alert"],
            host=params["host"],
            jobs=tuple(params["jobs"]),
            max_age=params["max_age"],
        ).check()
        api = Api(url=params["url"].rstrip("/"), unit="prometheus", where="prometheus")
        result = await_resolved(
            api,
            alert,
            hold=params["hold"] if params["wait"] else 0.0,
            timeout=params["timeout"] if params["wait"] else 0.0,
            interval=params["interval"],
        )
        result["hosts"], result["hosts_reason"] = firing_hosts(api, alert)
    except (KoprogoError, OSError) as error:
        module.fail_json(**as_failure(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
