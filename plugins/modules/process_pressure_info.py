#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: process_pressure_info
short_description: Who uses a host's processors and memory, by unit
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Looks twice, O(seconds) apart, and returns the units that use most processor time and memory, whose memory
    grows, how the processors spent their time (also waiting for disks, and stolen by the hypervisor),
    pressure stall information, and kills for want of memory.
  - A unit's memory is what its processes cannot give back, without pages of files.
  - Reads C(/proc) only, so it is the same on cgroup v1 and v2.
extends_documentation_fragment:
  - koprogo.observability.attributes.info
options:
  seconds:
    description: How long the sample takes, from 0.2 to 30.
    type: float
    default: 2.0
  top:
    description: How many units are returned.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: See who uses the host
  koprogo.observability.process_pressure_info:
    seconds: 5
"""

RETURN = r"""
seconds:
  description: How long the sample took.
  returned: success
  type: float
  sample: 2.0
cpus:
  description: How many processors there are.
  returned: success
  type: int
  sample: 2
cpu_shares:
  description: How the processors spent the sample, as shares of all of their time.
  returned: success
  type: dict
  sample: {user: 0.81, system: 0.1, idle: 0.05, iowait: 0.02, steal: 0.02}
memory:
  description: Bytes of memory and swap.
  returned: success
  type: dict
  sample: {total: 4123168768, available: 98566144, swap_total: 0, swap_free: 0}
available_share:
  description: Which share of the memory is available.
  returned: success
  type: float
  sample: 0.0239
psi:
  description: Pressure stall information, empty where the kernel has none.
  returned: success
  type: dict
  sample: {memory: {some_avg10: 12.5, full_avg10: 4.1, some_avg60: 8.0, full_avg60: 2.2}}
load:
  description: Load over 1, 5 and 15 minutes.
  returned: success
  type: list
  elements: float
  sample: [4.2, 3.1, 1.0]
oom_kills:
  description: Kills for want of memory since the boot.
  returned: success
  type: int
  sample: 1
oom_messages:
  description: What the kernel said of them in the last day.
  returned: success
  type: list
  elements: str
  sample: ["Out of memory: Killed process 4711 (koprogo-api)"]
by_cpu:
  description: Units by the processors they used.
  returned: success
  type: list
  elements: dict
  sample:
    - {unit: koprogo-api.service, cpu: 1.62, memory_bytes: 81234567, growth_bytes_per_second: 0,
       leaking: false, growth_since_start: 4096, processes: 1, age: 19830.1, commands: [koprogo-api]}
by_memory:
  description: Units by memory, in the same form.
  returned: success
  type: list
  elements: dict
  sample: [{unit: koprogo-api.service, cpu: 0.2, memory_bytes: 2147483648, leaking: true}]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._numbers import within
from ansible_collections.koprogo.observability.plugins.module_utils._pressure import Pressure
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "seconds": {"type": "float", "default": 2.0},
            "top": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    seconds = module.params["seconds"]
    try:
        within("seconds", seconds, 0.2, 30)
        sample = Pressure(Runner()).sample(seconds)
    except (KoprogoError, OSError) as error:
        module.fail_json(**as_failure(error))
    module.exit_json(changed=False, **sample.as_dict(top=max(1, module.params["top"])))


if __name__ == "__main__":
    main()
