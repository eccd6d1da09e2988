#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_verify_monitoring
short_description: Ask a monitoring host's running daemons whether the stack does its work
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Asks Prometheus for its targets, retention, rules, a sample of each expected metric and the data behind
    queries, Loki for its retention, the marked lines and queries, Alertmanager for its cluster and
    routes, and Grafana for its data sources and dashboards.
  - Questions that fail are asked again until they pass or O(timeout) is over, because a started system
    needs a moment.
  - Does nothing on a host outside the group C(monitoring).
  - A finding is a check in the result, never a failure of the task.
options:
  timeout:
    description: >-
      Seconds after which a failed check stays failed. Targets that are scraped less often are not waited for.
    type: float
    default: 45
  promql:
    description: >-
      Queries that must have data, each with C(name), C(query), and optionally C(job), C(idle), and
      C(empty) for one that must have none.
    type: list
    elements: dict
    default: []
  logql:
    description: Log queries that must have lines, each with C(name), C(query), and C(job).
    type: list
    elements: dict
    default: []
  metrics:
    description: Names that must have a sample, by scrape job.
    type: dict
    default: {}
  routes:
    description: Alerts' C(labels) and the C(receivers) that they must reach. No receivers means any.
    type: list
    elements: dict
    default: []
  marks_from:
    description: Variable that the results of M(koprogo.observability.stack_verify_host) were registered in.
    type: str
    default: __verify_host
  prometheus:
    description: Set by the action plugin from the inventory.
    type: dict
    default: {}
  loki:
    description: Set by the action plugin from the inventory.
    type: dict
    default: {}
  alertmanager:
    description: Set by the action plugin from the inventory.
    type: dict
    default: {}
  grafana:
    description: Set by the action plugin from the inventory.
    type: dict
    default: {}
  grafana_password:
    description: Password of Grafana's administrator. Set by the action plugin from C(grafana_admin_password).
    type: str
  host:
    description: Name of the host in the results. Set by the action plugin.
    type: str
    default: localhost
extends_documentation_fragment:
  - koprogo.observability.attributes.info
  - koprogo.observability.attributes.action
attributes:
  action:
    support: full
"""

EXAMPLES = r"""
- name: Ask the monitoring hosts
  koprogo.observability.stack_verify_monitoring:
    promql:
      - {name: API is up, query: 'up{job="koprogo-api"}', job: koprogo-api}
    marks_from: verify_host
  register: verify_monitoring
"""

RETURN = r"""
checks:
  description: What was found.
  returned: on monitoring hosts
  type: list
  elements: dict
  sample:
    - check: targets up
      where: mon1
      result: passed
      evidence: 24 up, all expected, none else
      look: ""
seconds:
  description: How long the questions took.
  returned: on monitoring hosts
  type: float
  sample: 1.8
"""

import base64
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.module_utils._stack import (
    Question,
    ask_until,
)
from ansible_collections.koprogo.observability.plugins.module_utils._stack_api import Api
from ansible_collections.koprogo.observability.plugins.module_utils._stack_loki import (
    loki_questions,
)
from ansible_collections.koprogo.observability.plugins.module_utils._stack_prometheus import (
    fresh_question,
    prometheus_questions,
)
from ansible_collections.koprogo.observability.plugins.module_utils._stack_services import (
    alertmanager_questions,
    grafana_questions,
)

# Log lines are on their way for this long even when the targets took the rest of the time.
_LEAST = 15.0


def credentials(user: str, password: str | None) -> dict[str, str] | None:
    """The header of HTTP basic authentication, or nothing without a password."""
    if not password:
        return None
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def fresh(params: dict[str, Any]) -> list[Question]:
    """What has to be waited for before anything else is asked."""
    options = params["prometheus"]
    if not options:
        return []
    api = Api(url=options["url"], unit=options["unit"], where=params["host"])
    return [fresh_question(api, {"since": time.time(), "wait": params["timeout"]})]


def questions(params: dict[str, Any]) -> list[Question]:
    """All questions to the daemons that are to run on this host."""
    host = params["host"]
    every: list[Question] = []
    if options := params["prometheus"]:
        api = Api(url=options["url"], unit=options["unit"], where=host)
        more = {"queries": params["promql"], "metrics": params["metrics"]}
        every += prometheus_questions(api, options | more)
    if options := params["loki"]:
        api = Api(url=options["url"], unit=options["unit"], where=host)
        every += loki_questions(api, options | {"queries": params["logql"]})
    if options := params["alertmanager"]:
        api = Api(url=options["url"], unit=options["unit"], where=host)
        every += alertmanager_questions(api, Runner(), options | {"routes": params["routes"]})
    if options := params["grafana"]:
        headers = credentials(options["user"], params["grafana_password"])
        api = Api(url=options["url"], unit=options["unit"], where=host, headers=headers)
        every += grafana_questions(api, options.get("dashboards", {}))
    return every


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "timeout": {"type": "float", "default": 45},
            "promql": {"type": "list", "elements": "dict", "default": []},
            "logql": {"type": "list", "elements": "dict", "default": []},
            "metrics": {"type": "dict", "default": {}},
            "routes": {"type": "list", "elements": "dict", "default": []},
            "marks_from": {"type": "str", "default": "__verify_host"},
            "prometheus": {"type": "dict", "default": {}},
            "loki": {"type": "dict", "default": {}},
            "alertmanager": {"type": "dict", "default": {}},
            "grafana": {"type": "dict", "default": {}},
            "grafana_password": {"type": "str", "no_log": True},
            "host": {"type": "str", "default": "localhost"},
        },
        supports_check_mode=True,
    )
    started = time.monotonic()
    try:
        checks = ask_until(fresh(module.params), timeout=module.params["timeout"])
        left = module.params["timeout"] - (time.monotonic() - started)
        checks += ask_until(questions(module.params), timeout=max(left, _LEAST))
    except (KoprogoError, OSError) as error:
        module.fail_json(**as_failure(error))
    module.exit_json(
        changed=False,
        checks=[check.as_result() for check in checks],
        seconds=round(time.monotonic() - started, 1),
    )


if __name__ == "__main__":
    main()
