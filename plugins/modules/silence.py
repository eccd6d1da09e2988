#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: silence
short_description: Silence an alert while work is done
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Creates, extends or ends a silence of Alertmanager. Matchers and comment tell it from others.
  - A silence always has an end, and never silences everything.
  - One that has at least half of O(duration) left is not extended.
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
    description: Whether the silence is there.
    type: str
    choices: [present, absent]
    default: present
  url:
    description: Alertmanager.
    type: str
    default: http://127.0.0.1:9093
  matchers:
    description: Conditions that an alert has to meet, all of them. At least one has to name a label's value.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The label.
        type: str
        required: true
      value:
        description: Its value, or a regular expression.
        type: str
        required: true
      regex:
        description: Whether O(matchers[].value) is a regular expression.
        type: bool
        default: false
      equal:
        description: Whether the label has to match, or must not.
        type: bool
        default: true
  comment:
    description: Why; it is also what tells this silence from others.
    type: str
    required: true
  created_by:
    description: Who.
    type: str
    default: koprogo.observability
  duration:
    description: Seconds from now until its end, from a minute to a week.
    type: float
    default: 1800
"""

EXAMPLES = r"""
- name: Keep quiet about the API while it restarts
  koprogo.observability.silence:
    matchers:
      - {name: alertname, value: ApiDown}
      - {name: host, value: api1}
    comment: remediation of ApiDown on api1
    duration: 600

- name: Speak again
  koprogo.observability.silence:
    state: absent
    matchers:
      - {name: alertname, value: ApiDown}
      - {name: host, value: api1}
    comment: remediation of ApiDown on api1
"""

RETURN = r"""
action:
  description: What was done, V(create), V(extend), V(expire) or V(none).
  returned: success
  type: str
  sample: create
silence_id:
  description: The silence; empty where check mode would create it.
  returned: success
  type: str
  sample: 9f2bd6f3-5a5c-4a0e-9b4b-0d1f0c0a7f55
ends_at:
  description: When it ends; empty for V(absent).
  returned: success
  type: str
  sample: "2026-11-22T03:34:05.000Z"
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    KoprogoError,
    as_failure,
)
from ansible_collections.koprogo.observability.plugins.module_utils._silence import (
    Silences,
    Wish,
    matchers_of,
)


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "url": {"type": "str", "default": "http://127.0.0.1:9093"},
            "matchers": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "value": {"type": "str", "required": True},
                    "regex": {"type": "bool", "default": False},
                    "equal": {"type": "bool", "default": True},
                },
            },
            "comment": {"type": "str", "required": True},
            "created_by": {"type": "str", "default": "koprogo.observability"},
            "duration": {"type": "float", "default": 1800.0},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        if not params["url"].startswith(("http://", "https://")):
            raise InputError(f"url: expected http:// or https://, found '{params['url']}'.")
        wish = Wish(
            matchers=matchers_of(params["matchers"]),
            comment=params["comment"],
            author=params["created_by"],
            duration=params["duration"],
        ).check()
        silences = Silences(params["url"])
        if params["state"] == "present":
            result = silences.present(wish, check=module.check_mode)
        else:
            result = silences.absent(wish.matchers, wish.comment, check=module.check_mode)
    except (KoprogoError, OSError) as error:
        module.fail_json(**as_failure(error))
    after = f"{result['action']}: {params['comment']}\n" if result["changed"] else ""
    module.exit_json(diff={"before": "", "after": after}, **result)


if __name__ == "__main__":
    main()
