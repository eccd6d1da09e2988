#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: api_latency_info
short_description: Slow and failing routes of the API, from its log
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Reads the API's log, one JSON object a line, and its rotated and gzipped files, newest first, for a
    window of time, and returns each route's count and quantiles, the slowest requests, and the failing
    routes with the minute of their first failure.
  - Memory stays below 64 MiB however large the log is. In a plain file the window's beginning is found by
    bisection, so the last minutes of a large log cost next to nothing.
  - Quantiles are off by 0.5 % at most, for durations from 0.1 ms on; below that by 1 µs.
  - A request belongs to the route that the line names; where it names none, to its path with numbers,
    UUIDs and other identifiers replaced by C({id}), without the query.
  - Damaged lines are counted and passed over.
extends_documentation_fragment:
  - koprogo.observability.attributes.info
options:
  path:
    description: The log. Its rotated files lie beside it, such as C(api.log.1) and C(api.log.2.gz).
    type: path
    default: /var/log/koprogo/api.log
  duration:
    description: How long before O(until) the window begins, such as V(90s), V(15m), V(2h), V(1d).
    type: str
    default: 1h
  since:
    description:
      - The window's beginning, in ISO 8601; without a zone it is UTC.
      - It takes precedence over O(duration).
    type: str
    default: ""
  until:
    description: The window's end, in ISO 8601. The default is now.
    type: str
    default: ""
  top:
    description: How many routes and failures are returned.
    type: int
    default: 20
  slowest:
    description: How many of the slowest requests are returned.
    type: int
    default: 10
  failing_from:
    description: Statuses that count as failures begin with this class.
    type: int
    choices: [400, 500]
    default: 500
  max_bytes:
    description: How many bytes are read at most, the newest ones.
    type: int
    default: 4294967296
"""

EXAMPLES = r"""
- name: Find what was slow in the last quarter of an hour
  koprogo.observability.api_latency_info:
    duration: 15m
  register: latency

- name: Find what failed on a day
  koprogo.observability.api_latency_info:
    since: "2026-01-31"
    until: "2026-02-01"
    failing_from: 400
"""

RETURN = r"""
window:
  description: From and to, in UTC.
  returned: success
  type: dict
  sample: {since: "2026-01-31T11:00:00.000Z", until: "2026-01-31T12:00:00.000Z"}
overall:
  description: All requests of the window together.
  returned: success
  type: dict
  sample: {count: 1200, p50_ms: 12.15, p95_ms: 87.35, p99_ms: 1965.0, statuses: {"200": 1190, "500": 10}}
routes:
  description: Routes by their P99, the slowest first.
  returned: success
  type: list
  elements: dict
  sample:
    - {method: GET, route: /api/v1/reports/charges, count: 20, p50_ms: 800.5, p95_ms: 1905.0,
       p99_ms: 1965.0, statuses: {"200": 20}}
routes_seen:
  description: How many routes the window has.
  returned: success
  type: int
  sample: 14
slowest:
  description: The slowest requests, the slowest first.
  returned: success
  type: list
  elements: dict
  sample:
    - {timestamp: "2026-01-31T11:59:01.220Z", method: GET, path: /api/v1/users/17,
       route: "/api/v1/users/{user_id}", status: 200, duration_ms: 1972.113, request_id: a35c860f26894500}
failing:
  description: Failing routes by status, the most frequent first, with the first and last failing minute.
  returned: success
  type: list
  elements: dict
  sample:
    - {method: POST, route: /api/v1/expenses, status: 500, count: 10, first_minute: "2026-01-31T11:52Z",
       last_minute: "2026-01-31T11:59Z"}
failing_requests:
  description: How many requests failed.
  returned: success
  type: int
  sample: 10
failing_share:
  description: Which share of the requests failed.
  returned: success
  type: float
  sample: 0.0083
first_failing_minute:
  description: The minute of the first failure, empty where nothing failed.
  returned: success
  type: str
  sample: "2026-01-31T11:52Z"
errors:
  description: The last error lines that are no requests, the newest first.
  returned: success
  type: list
  elements: dict
  sample: [{at: "2026-01-31T11:52:03.000Z", level: ERROR, message: "database unreachable"}]
lines:
  description: How many lines were read, and what they were.
  returned: success
  type: dict
  sample: {read: 1300, requests: 1200, events: 4, outside_window: 95, damaged: 1}
files:
  description: What was read, in this order.
  returned: success
  type: list
  elements: dict
  sample: [{path: /var/log/koprogo/api.log, bytes: 524288}]
problems:
  description: Files that could not be read, and why.
  returned: success
  type: list
  elements: str
  sample: []
truncated:
  description: Whether O(max_bytes) ended the reading.
  returned: success
  type: bool
  sample: false
seconds:
  description: How long the reading took.
  returned: success
  type: float
  sample: 0.02
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._latency import (
    Window,
    read_log,
)


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/var/log/koprogo/api.log"},
            "duration": {"type": "str", "default": "1h"},
            "since": {"type": "str", "default": ""},
            "until": {"type": "str", "default": ""},
            "top": {"type": "int", "default": 20},
            "slowest": {"type": "int", "default": 10},
            "failing_from": {"type": "int", "choices": [400, 500], "default": 500},
            "max_bytes": {"type": "int", "default": 4 * 1024**3},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        window = Window.of(
            since=params["since"], until=params["until"], duration=params["duration"]
        )
        result = read_log(
            params["path"],
            window,
            slowest=max(0, params["slowest"]),
            top=max(1, params["top"]),
            failing_from=params["failing_from"],
            limit=params["max_bytes"],
        )
    except (KoprogoError, OSError) as error:
        module.fail_json(**as_failure(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
