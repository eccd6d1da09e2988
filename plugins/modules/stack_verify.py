#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_verify
short_description: Judge what was found on all hosts, show it as a table, and fail if anything is wrong
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Collects the checks of M(koprogo.observability.stack_verify_host) and
    M(koprogo.observability.stack_verify_monitoring) from all hosts of the play, on the control node.
  - Shows one row for each check, and for each failed one what is wrong and the command that shows why.
  - A host that gave no answer is a failed check. Run it once in a play.
options:
  observed:
    description: Variables that the results were registered in.
    type: list
    elements: str
    default: [__verify_host, __verify_monitoring]
  report:
    description: File on the control node that receives all checks as JSON.
    type: path
  fail:
    description: Whether the task fails when a check does. Otherwise RV(ok) says so.
    type: bool
    default: true
attributes:
  action:
    description: Runs on the control node only.
    support: full
  check_mode:
    description: Judges as usual. The report is written too, it is no part of a host.
    support: full
  diff_mode:
    description: Nothing is changed, so there is nothing to show.
    support: N/A
"""

EXAMPLES = r"""
- name: Judge the stack
  koprogo.observability.stack_verify:
    report: verify.json
  run_once: true
"""

RETURN = r"""
ok:
  description: Whether no check failed.
  returned: always
  type: bool
failures:
  description: For each failed check what is wrong, and the command that shows why.
  returned: always
  type: list
  elements: str
counts:
  description: Number of rows with each result.
  returned: always
  type: dict
  sample: {passed: 41, failed: 0, skipped: 1}
rows:
  description: One entry for each check, hosts with the same verdict together.
  returned: always
  type: list
  elements: dict
  sample:
    - check: units run
      where: 3 hosts
      hosts: [mon1, api1, db1]
      result: passed
      evidence: 7 enabled, active, not restarting
      look: ""
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """The action plugin does all the work."""
    module = AnsibleModule(
        argument_spec={
            "observed": {
                "type": "list",
                "elements": "str",
                "default": ["__verify_host", "__verify_monitoring"],
            },
            "report": {"type": "path"},
            "fail": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="koprogo.observability.stack_verify runs as an action plugin only.")


if __name__ == "__main__":
    main()
