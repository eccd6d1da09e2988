#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: remediation_ledger
short_description: Read the host's ledger of remediations, judge a run, or close a breaker
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Every action that a module of this collection takes to remedy an alert is written to a ledger on its host,
    and judged by what is written there.
  - V(state=read) returns the entries and where each action stands.
  - V(state=closed) closes an action's breaker. Its cool-down and budget still hold.
  - V(state=trusted) says that the ledger as it is may be trusted for destructive actions, at provisioning, or
    after somebody looked at its damage or loss. A ledger that is trusted already is left alone.
  - V(state=verdict) replaces a run's outcome by what the alert said afterwards.
extends_documentation_fragment:
  - koprogo.observability.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description: What to do.
    type: str
    choices: [read, closed, trusted, verdict]
    default: read
  action:
    description: The action whose breaker is closed, or whose entries are returned.
    type: str
  alert:
    description: Return only entries of this alert.
    type: str
  limit:
    description: Return only so many of the last entries.
    type: int
    default: 100
  run_id:
    description: The run that the verdict is about.
    type: str
  outcome:
    description: The verdict.
    type: str
    choices: [resolved, not_resolved, inconclusive]
  reason:
    description: Why, for those who read the ledger. Required for V(state=closed) and V(state=trusted).
    type: str
    default: ''
  run_by:
    description: Who says so; the user who signed in if empty.
    type: str
    default: ''
  path:
    description: The ledger.
    type: path
    default: /var/lib/koprogo/remediation/ledger.jsonl
"""

EXAMPLES = r"""
- name: Make the ledger, with the host
  koprogo.observability.remediation_ledger:
    state: trusted
    reason: provisioned

- name: Let the API be restarted again
  koprogo.observability.remediation_ledger:
    state: closed
    action: restart:koprogo-api
    reason: The certificate that made it crash was renewed.

- name: Say what became of a run
  koprogo.observability.remediation_ledger:
    state: verdict
    run_id: 20261122T030405Z-0a1b2c3d
    outcome: resolved
"""

RETURN = r"""
entries:
  description: Entries in the order in which they were written, the last ones.
  returned: success
  type: list
  elements: dict
  sample:
    - id: 20261122T030405Z-0a1b2c3d
      seq: 12
      time: "2026-11-22T03:04:05Z"
      phase: end
      action: restart:koprogo-api
      alert: ApiDown
      who: ada
      automatic: false
      class: safe
      evidence: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      outcome: resolved
      result: {"restarts": 1}
states:
  description: Where each action stands. Times in seconds.
  returned: success
  type: list
  elements: dict
  sample:
    - action: restart:koprogo-api
      runs: 3
      runs_in_window: 1
      budget_left: 4
      cool_down_left: 0.0
      ineffective: 0
      breaker: closed
      last_outcome: resolved
      last_time: "2026-11-22T03:04:05Z"
health:
  description: Whether the ledger can be trusted, why not, and where its entries are stored.
  returned: success
  type: dict
  sample:
    path: /var/lib/koprogo/remediation/ledger.jsonl
    trusted: true
    problems: []
    damaged_lines: []
    missing_entries: []
    torn_bytes: 0
    entries: 24
    stored: {"ledger": 24}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    KoprogoError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._ledger import Ledger
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_desk import (
    report,
    write,
)


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "choices": ["read", "closed", "trusted", "verdict"],
                "default": "read",
            },
            "action": {"type": "str"},
            "alert": {"type": "str"},
            "limit": {"type": "int", "default": 100},
            "run_id": {"type": "str"},
            "outcome": {"type": "str", "choices": ["resolved", "not_resolved", "inconclusive"]},
            "reason": {"type": "str", "default": ""},
            "run_by": {"type": "str", "default": ""},
            "path": {"type": "path", "default": "/var/lib/koprogo/remediation/ledger.jsonl"},
        },
        required_if=[
            ("state", "closed", ["action", "reason"]),
            ("state", "trusted", ["reason"]),
            ("state", "verdict", ["run_id", "outcome"]),
        ],
        supports_check_mode=True,
    )
    params = module.params
    ledger = Ledger(params["path"])
    try:
        change = write(ledger, params, check=module.check_mode)
        result = report(ledger, params)
    except (KoprogoError, OSError) as error:
        module.fail_json(**as_failure(error))
    module.exit_json(
        changed=bool(change),
        diff={"before": "", "after": f"{change}\n" if change else ""},
        **result,
    )


if __name__ == "__main__":
    main()
