#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: component_verify
short_description: Verify that a unit runs, answers, and listens where it should only
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Fails, with all findings in one sentence and the end of the journal, unless the unit is active
    and enabled, does not restart by itself, answers O(probes), serves exactly the sockets of
    O(listen) and O(listen_udp), and is as confined as O(max_exposure) asks.
  - In check mode a finding is a warning, since the tasks before have only predicted their changes.
options:
  unit:
    description: Name of the unit.
    type: str
    required: true
  listen:
    description:
      - TCP sockets that the unit's processes serve, as V(127.0.0.1:9090), V([::1]:9090) or V(*:9090).
      - One more, one less or a wider address is a failure.
    type: list
    elements: str
    default: []
  listen_udp:
    description: UDP sockets that the unit's processes serve, in the same way.
    type: list
    elements: str
    default: []
  listen_any:
    description: Do not judge the sockets, only report them.
    type: bool
    default: false
  listen_timeout:
    description: How many seconds to wait for a socket that is missing.
    type: float
    default: 10.0
  probes:
    description: Questions to the service, as in M(koprogo.observability.config_transaction).
    type: list
    elements: dict
    default: []
    suboptions:
      url:
        description: Where to ask, by HTTP or HTTPS.
        type: str
        required: true
      method:
        description: HTTP method.
        type: str
        choices: [GET, HEAD, POST, PUT]
        default: GET
      headers:
        description: HTTP headers to send.
        type: dict
        default: {}
      status:
        description: Expected HTTP status.
        type: int
        default: 200
      matches:
        description: Regular expression that the body must contain.
        type: str
      metric:
        description: Metric that must be in the body, as C(name) or C(name{label="value"}).
        type: str
      equals:
        description: Value that O(probes[].metric) must have.
        type: float
      at_least:
        description: Smallest value of O(probes[].metric).
        type: float
      at_most:
        description: Largest value of O(probes[].metric).
        type: float
      after_action:
        description: Has no meaning here.
        type: bool
        default: false
      timeout:
        description: How many seconds all tries together may take.
        type: float
        default: 30.0
      client_cert:
        description: Client certificate.
        type: path
      client_key:
        description: Key of the client certificate.
        type: path
      ca_cert:
        description: Certificate authority of the server.
        type: path
  max_exposure:
    description: Largest exposure that C(systemd-analyze security) may find, from 0 to 10.
    type: float
  enabled:
    description: Whether the unit must start at boot.
    type: bool
    default: true
extends_documentation_fragment:
  - koprogo.observability.attributes.info
"""

EXAMPLES = r"""
- name: Verify Prometheus
  koprogo.observability.component_verify:
    unit: prometheus.service
    listen: ["127.0.0.1:9090"]
    probes:
      - url: http://127.0.0.1:9090/-/ready
      - url: http://127.0.0.1:9090/metrics
        metric: prometheus_config_last_reload_successful
        equals: 1
    max_exposure: 2.0
"""

RETURN = r"""
verified:
  description: Whether everything was found as expected; false only in check mode.
  returned: success
  type: bool
  sample: true
unit:
  description: Name of the unit.
  returned: always
  type: str
  sample: prometheus.service
active_state:
  description: State by systemd's names.
  returned: always
  type: str
  sample: active
sub_state:
  description: Finer state.
  returned: always
  type: str
  sample: running
enabled:
  description: Whether the unit starts at boot.
  returned: always
  type: bool
  sample: true
pid:
  description: The main process.
  returned: always
  type: int
  sample: 4711
restarts:
  description: How often systemd has restarted the unit by itself.
  returned: always
  type: int
  sample: 0
memory_bytes:
  description: Resident memory of the unit's processes.
  returned: if the unit runs
  type: int
  sample: 52428800
sockets:
  description: Sockets that the unit serves.
  returned: if the unit runs
  type: list
  elements: str
  sample: ["127.0.0.1:9090"]
exposure:
  description: What C(systemd-analyze security) found.
  returned: if O(max_exposure) was given and the unit runs
  type: float
  sample: 1.1
probes:
  description: Each probe with its tries and seconds.
  returned: if the unit runs
  type: list
  elements: dict
  sample: [{"url": "http://127.0.0.1:9090/-/ready", "ok": true, "tries": 1, "seconds": 0.004}]
problems:
  description: Each finding.
  returned: if there is any
  type: list
  elements: str
  sample: ["it listens on *:9100, which is not expected"]
notes:
  description: What a reader of the result should know.
  returned: in check mode, if the unit does not run yet
  type: list
  elements: str
  sample: ["x.service does not run yet; a real run verifies it."]
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
from ansible_collections.koprogo.observability.plugins.module_utils._probe import (
    PROBE_OPTIONS,
    Probe,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._sockets import SocketTable
from ansible_collections.koprogo.observability.plugins.module_utils._systemd import Systemd
from ansible_collections.koprogo.observability.plugins.module_utils._verify import (
    Expectation,
    Verifier,
)


def main() -> None:
    """Verify one unit."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "listen": {"type": "list", "elements": "str", "default": []},
            "listen_udp": {"type": "list", "elements": "str", "default": []},
            "listen_any": {"type": "bool", "default": False},
            "listen_timeout": {"type": "float", "default": 10.0},
            "probes": {"type": "list", "elements": "dict", "default": [], "options": PROBE_OPTIONS},
            "max_exposure": {"type": "float"},
            "enabled": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    runner = Runner()
    systemd = Systemd(runner)
    try:
        if module.check_mode and not systemd.state(params["unit"]).running:
            note = f"{params['unit']} does not run yet; a real run verifies it."
            module.exit_json(changed=False, verified=False, unit=params["unit"], notes=[note])
        probes = params.pop("probes")
        wanted = Expectation(
            probes=[
                Probe.from_options(item, where=f"probes[{n}]") for n, item in enumerate(probes)
            ],
            **params,
        )
        verifier = Verifier(wanted, runner=runner, systemd=systemd, sockets=SocketTable())
        evidence = verifier.verify()
    except (KoprogoError, OSError) as exc:
        if module.check_mode and isinstance(exc, KoprogoError) and "problems" in exc.evidence:
            module.warn(f"Before the predicted changes: {exc.message}")
            module.exit_json(changed=False, verified=False, **exc.evidence)
        module.fail_json(**as_failure(exc, about=params["unit"]))
    module.exit_json(changed=False, verified=True, **evidence)


if __name__ == "__main__":
    main()
