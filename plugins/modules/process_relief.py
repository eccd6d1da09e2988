#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: process_relief
short_description: Restart or slow down the unit that presses a host
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Samples the host. If less than O(below) of the memory is available, or of the processors idle, the unit
    that uses most of it, and at least O(least_share) of all, is restarted, or gets less of the processors.
  - Touches only units on the list O(allow), which must not be empty. If another unit is the cause, it
    refuses and says which.
  - To slow a unit down is to lower its C(CPUWeight) until the next boot and its processes' niceness.
  - Passes the guard of the host's ledger, as a safe action.
extends_documentation_fragment:
  - koprogo.observability.attributes
  - koprogo.observability.guard
attributes:
  check_mode:
    description: Names the unit that it would restart or slow down, or says why it would refuse.
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  resource:
    description: What the host is short of.
    type: str
    choices: [memory, cpu]
    required: true
  action:
    description: What is done with the unit.
    type: str
    choices: [restart, renice]
    default: restart
  allow:
    description: Units that may be touched, by their exact names.
    type: list
    elements: str
    required: true
  below:
    description: Below which share of what is left, from 0 to 1, the host is pressed.
    type: float
    default: 0.1
  least_share:
    description: Which share of all the unit must use, from 0 to 1.
    type: float
    default: 0.3
  cpu_weight:
    description: The weight of a unit that is slowed down, from 1 to 100; 100 is every unit's.
    type: int
    default: 20
  nice:
    description: The niceness of its processes, from 0 to 19.
    type: int
    default: 10
  seconds:
    description: How long a sample takes, from 0.2 to 30.
    type: float
    default: 2.0
  wait:
    description: Seconds within which a restarted unit has to run, from 0 to 3600.
    type: float
    default: 30.0
"""

EXAMPLES = r"""
- name: Restart what eats the memory, if it is the API
  koprogo.observability.process_relief:
    resource: memory
    allow: [koprogo-api.service]
    alert: MemoryExhaustion

- name: Slow the traffic generator down
  koprogo.observability.process_relief:
    resource: cpu
    action: renice
    below: 0.2
    allow: [koprogo-traffic.service]
    alert: HighCpu
"""

RETURN = r"""
pressed:
  description: Whether the host is short of the resource.
  returned: always
  type: bool
  sample: true
left_share:
  description: Which share of the resource was left.
  returned: always
  type: float
  sample: 0.0239
offender:
  description: The unit that uses most, empty if none uses enough.
  returned: always
  type: str
  sample: koprogo-api.service
offender_share:
  description: Which share of all it uses.
  returned: always
  type: float
  sample: 0.71
consumer:
  description: What it uses, as M(koprogo.observability.process_pressure_info) returns it.
  returned: always
  type: dict
  sample: {unit: koprogo-api.service, cpu: 0.2, memory_bytes: 2147483648}
top:
  description: The five units that use most.
  returned: always
  type: list
  elements: dict
  sample: [{unit: koprogo-api.service, cpu: 0.2, memory_bytes: 2147483648}]
oom_kills:
  description: Kills for want of memory since the boot.
  returned: always
  type: int
  sample: 0
left_share_after:
  description: Which share of the resource was left afterwards.
  returned: when it acted
  type: float
  sample: 0.64
problem:
  description: Why it did not help, empty if it did.
  returned: when it acted
  type: str
  sample: ""
seconds:
  description: How long it took.
  returned: when it acted
  type: float
  sample: 5.2
prediction:
  description: What was predicted.
  returned: always
  type: dict
  sample: {unit: koprogo-api.service, restarts: 1}
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
  sample: postgresql@15-main.service uses 71% of the memory and is not on the list
code:
  description: The reason's short form.
  returned: when it was refused
  type: str
  sample: not_allowed
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
from ansible_collections.koprogo.observability.plugins.module_utils._pressure import Pressure
from ansible_collections.koprogo.observability.plugins.module_utils._relief import Relief
from ansible_collections.koprogo.observability.plugins.module_utils._remedy import (
    Remedy,
    require_effect,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner

_OWN = ("resource", "action", "allow", "below", "least_share", "nice", "seconds", "wait")


def remedy(params: dict[str, Any]) -> Remedy:
    """What is to be done, after looking."""
    runner = Runner()
    relief = Relief(
        runner=runner,
        pressure=Pressure(runner),
        weight=params["cpu_weight"],
        **{name: params[name] for name in _OWN},
    )
    seen = relief.look()
    needed = relief.needed(seen)
    code, refusal = relief.refusal(seen) if needed else ("", "")
    unit, verb = seen["offender"], params["action"]
    shown = {key: value for key, value in seen.items() if key != "pids"}
    return Remedy(
        # The same key wherever a unit is restarted: one budget for all reasons.
        name=f"{verb}:{unit.removesuffix('.service') or 'nothing'}",
        reversibility="safe",
        needed=needed,
        evidence=shown,
        prediction={"unit": unit, "restarts": 1 if verb == "restart" else 0},
        act=lambda: relief.act(seen),
        result=shown,
        refusal=refusal,
        code=code,
        before=f"{unit} uses {seen['offender_share']:.0%} of the {params['resource']}\n",
        after=f"{unit}: {verb}\n",
    )


def main() -> None:
    """Module entry point."""
    module = ActingModule(
        argument_spec={
            **GUARD_OPTIONS,
            "resource": {"type": "str", "choices": ["memory", "cpu"], "required": True},
            "action": {"type": "str", "choices": ["restart", "renice"], "default": "restart"},
            "allow": {"type": "list", "elements": "str", "required": True},
            "below": {"type": "float", "default": 0.1},
            "least_share": {"type": "float", "default": 0.3},
            "cpu_weight": {"type": "int", "default": 20},
            "nice": {"type": "int", "default": 10},
            "seconds": {"type": "float", "default": 2.0},
            "wait": {"type": "float", "default": 30.0},
        },
        supports_check_mode=True,
    )
    try:
        result = remedy(module.params).run(module.params, check=module.check_mode)
        require_effect(result, "the host is still pressed")
    except (KoprogoError, OSError) as error:
        module.fail_json(**as_failure(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
