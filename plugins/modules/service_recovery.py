#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_recovery
short_description: Bring a service back by a restart, if a restart is the answer
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Collects the evidence first, the unit's state, journal and last exit, an out-of-memory kill, the owner of
    its port, its health endpoint, what it depends on, and when its program was last changed.
  - A healthy service is left alone. One that runs and answers nothing within O(health_timeout) is down too.
  - Refuses where a restart cannot help, because something that it depends on does not answer, its port is
    another process's, it is masked, or it is not on the list O(allow). So it does where a restart could do
    harm, because the unit is still starting, or O(health_url) tells nothing of it.
  - Restarts, also a unit that reached its start limit, waits until it is healthy, and sees that it stays so.
  - Passes the guard of the host's ledger, as a safe action.
extends_documentation_fragment:
  - koprogo.observability.attributes
  - koprogo.observability.guard
attributes:
  check_mode:
    description: Says whether it would restart the unit, or why it would refuse.
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  unit:
    description: The one unit; a pattern is refused.
    type: str
    required: true
  health_url:
    description:
      - Its health endpoint, by HTTP or HTTPS with a trusted certificate. A status from 200 to 299 is well.
        One from 300 to 499, such as "not found", tells of this option and not of the service.
      - Without it, to run is to be well.
    type: str
    default: ""
  health_timeout:
    description: Seconds within which a service that is well answers, from 0.1 to 300.
    type: float
    default: 5.0
  grace:
    description: Seconds that a service which has just started gets before it is judged, from 0 to 3600.
    type: float
    default: 15.0
  wait:
    description:
      - Seconds within which it has to be healthy after the restart, and that a start under way gets, from 0
        to 86400.
    type: float
    default: 60.0
  settle:
    description: Seconds that it has to stay healthy, from 0 to 3600.
    type: float
    default: 2.0
  port:
    description: The address and port that it serves, such as V(127.0.0.1:8080), to find another owner of it.
    type: str
    default: ""
  allow:
    description: Units that may be restarted. With an empty list none may; without the option, O(unit).
    type: list
    elements: str
  suspect:
    description:
      - Why the service is to be restarted although it says that it is well, such as the share of requests
        that fail. Whatever forbids a restart still does.
    type: str
    default: ""
  depends_on:
    description: What the service needs. If one of them does not answer, a restart is refused.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What it is called in messages.
        type: str
        required: true
      tcp:
        description: An endpoint that must take connections, such as V(10.0.0.3:5432).
        type: str
      url:
        description: A URL of HTTP or HTTPS that must answer with a status from 200 to 399.
        type: str
      unit:
        description: A unit of this host that must run.
        type: str
      timeout:
        description: Seconds within which it has to answer, from 0.1 to 300.
        type: float
        default: 3.0
"""

EXAMPLES = r"""
- name: Bring the API back
  koprogo.observability.service_recovery:
    unit: koprogo-api.service
    health_url: http://127.0.0.1:8080/health
    port: 127.0.0.1:8080
    depends_on:
      - name: PostgreSQL
        tcp: 10.0.0.3:5432
    alert: ApiDown
"""

RETURN = r"""
condition:
  description:
    - What was found. C(healthy), C(down), C(starting) if it still is after O(wait), C(hung) if it runs and
      answers nothing, C(unwell) if it answers that it is not well, C(unclear) if O(health_url) cannot be
      asked, C(suspect) if it says that it is well and O(suspect) says otherwise.
  returned: always
  type: str
  sample: hung
unit:
  description: The unit before.
  returned: always
  type: dict
  sample: {name: koprogo-api.service, active: failed, result: oom-kill, exit_status: 9, restarts: 4}
health:
  description: What the health endpoint said before.
  returned: always
  type: dict
  sample: {state: silent, status: 0, detail: timed out, seconds: 5.0}
journal:
  description: The last lines of the unit's journal.
  returned: always
  type: list
  elements: str
  sample: ["thread 'main' panicked at src/main.rs:17"]
port_owner:
  description: Another process that serves the port, empty if there is none.
  returned: when it is not healthy
  type: str
  sample: ""
dependencies:
  description: What it depends on, and what is wrong with each.
  returned: when it is not healthy
  type: list
  elements: dict
  sample: [{name: PostgreSQL, problem: ""}]
oom_kill:
  description: What says that the kernel killed it for want of memory.
  returned: when it is not healthy
  type: str
  sample: "systemd: result oom-kill"
deploy:
  description: When its program or its unit files changed last.
  returned: when it is not healthy
  type: dict
  sample: {recent: true, newest: /usr/local/bin/koprogo-api, seconds_ago: 240}
process:
  description: The main process before.
  returned: when it is not healthy
  type: dict
  sample: {state: "S (sleeping)", threads: 9, resident_kib: 81234, open_files: 31, waits_in: futex_wait_queue}
condition_after:
  description: What was found after the restart.
  returned: when it was restarted
  type: str
  sample: healthy
unit_after:
  description: The unit after the restart.
  returned: when it was restarted
  type: dict
  sample: {name: koprogo-api.service, active: active, sub: running}
health_after:
  description: What the health endpoint said after the restart.
  returned: when it was restarted
  type: dict
  sample: {state: ok, status: 200, detail: "", seconds: 0.01}
problem:
  description: Why the restart did not help, empty if it did.
  returned: when it was restarted
  type: str
  sample: ""
seconds:
  description: How long the restart took.
  returned: when it was restarted
  type: float
  sample: 3.2
prediction:
  description: What was predicted.
  returned: always
  type: dict
  sample: {restarts: 1}
outcome:
  description: Whether it helped; empty where nothing was done.
  returned: always
  type: str
  sample: resolved
refused:
  description: Whether it was refused, or in check mode would be.
  returned: always
  type: bool
  sample: false
reason:
  description: Why it was refused.
  returned: when it was refused
  type: str
  sample: "the cause is elsewhere (PostgreSQL: 10.0.0.3:5432 does not answer). Remedy that first."
code:
  description: The reason's short form.
  returned: when it was refused
  type: str
  sample: dependency
guard:
  description: What the ledger's guard said; empty where it was not asked.
  returned: always
  type: dict
  sample: {allowed: true, code: "", run_id: 20260131T115900Z-0a1b2c3d}
"""

from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._acting_module import (
    ActingModule,
)
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._ledger import GUARD_OPTIONS
from ansible_collections.koprogo.observability.plugins.module_utils._remedy import (
    Remedy,
    require_effect,
    restart_of,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._unit_recovery import (
    Dependency,
    UnitRecovery,
)

_OWN = (
    "unit",
    "health_url",
    "health_timeout",
    "grace",
    "wait",
    "settle",
    "port",
    "allow",
    "suspect",
)


def remedy(params: dict[str, Any]) -> Remedy:
    """What is to be done, after looking."""
    recovery = UnitRecovery(
        runner=Runner(),
        depends_on=[Dependency.of(entry) for entry in params["depends_on"]],
        **{name: params[name] for name in _OWN},
    )
    return restart_of(recovery, params["unit"], well="healthy")


def main() -> None:
    """Module entry point."""
    module = ActingModule(
        argument_spec={
            **GUARD_OPTIONS,
            "unit": {"type": "str", "required": True},
            "health_url": {"type": "str", "default": ""},
            "health_timeout": {"type": "float", "default": 5.0},
            "grace": {"type": "float", "default": 15.0},
            "wait": {"type": "float", "default": 60.0},
            "settle": {"type": "float", "default": 2.0},
            "port": {"type": "str", "default": ""},
            "allow": {"type": "list", "elements": "str"},
            "suspect": {"type": "str", "default": ""},
            "depends_on": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "tcp": {"type": "str"},
                    "url": {"type": "str"},
                    "unit": {"type": "str"},
                    "timeout": {"type": "float", "default": 3.0},
                },
            },
        },
        supports_check_mode=True,
    )
    try:
        result = remedy(module.params).run(module.params, check=module.check_mode)
        require_effect(result, "the unit is not healthy")
    except (KoprogoError, OSError) as error:
        module.fail_json(**as_failure(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
