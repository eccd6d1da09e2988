#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: incident
short_description: Keep the record of an incident on its host
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Writes C(record.json) and C(record.md) below O(folder), with timeline, evidence, actions, outcome, and the
    prediction beside the result; for a critical one the draft of a post-mortem too.
  - Called again with the same O(id) it adds to the record. Nothing that was written before is lost.
  - Each change adds a JSON line to O(log), which becomes an annotation of the dashboards, and a line to Slack
    if O(slack_webhook) is given.
  - On a full disk the record is kept in memory below C(/run), and moves by the next call that finds room.
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
  id:
    description: The incident; also the name of its folder.
    type: str
    required: true
  alert:
    description: The alert.
    type: str
  severity:
    description: Its severity.
    type: str
    choices: [critical, warning, info]
  host:
    description: The host.
    type: str
  run_by:
    description: Who or what remedies it.
    type: str
  automatic:
    description: Whether no human started the remediation.
    type: bool
  started:
    description: When it began, in ISO 8601.
    type: str
  ended:
    description: When it ended, in ISO 8601.
    type: str
  outcome:
    description: What came of it.
    type: str
    choices: [resolved, not_resolved, inconclusive, refused, failed]
  summary:
    description: One sentence.
    type: str
  evidence:
    description: What was seen, by kind. Its digest is RV(evidence_sha256).
    type: dict
    default: {}
  prediction:
    description: What the actions were to do.
    type: dict
    default: {}
  result:
    description: What they did, with the keys of O(prediction).
    type: dict
    default: {}
  timeline:
    description: What happened.
    type: list
    elements: dict
    default: []
    suboptions:
      time:
        description: When, in ISO 8601.
        type: str
        required: true
      text:
        description: What.
        type: str
        required: true
  runs:
    description: Runs of the ledger that belong to it; their entries become the record's actions.
    type: list
    elements: str
    default: []
  entries:
    description:
      - Entries of O(runs) that the ledger of another host has, as
        M(koprogo.observability.remediation_ledger) returned them there.
    type: list
    elements: dict
    default: []
  slack_webhook:
    description: Address of a Slack webhook. Never logged.
    type: str
  folder:
    description: Where records are kept.
    type: path
    default: /var/lib/koprogo/remediation/incidents
  log:
    description: The log that the collector ships.
    type: path
    default: /var/log/koprogo/remediation.log
  ledger:
    description: The ledger.
    type: path
    default: /var/lib/koprogo/remediation/ledger.jsonl
"""

EXAMPLES = r"""
- name: Save what was seen before anything is done
  koprogo.observability.incident:
    id: DiskFull-db1-20261122T030405Z-1f2e3d4c
    alert: DiskFull
    severity: critical
    host: db1
    run_by: ada
    started: "2026-11-22T03:04:05Z"
    evidence:
      disk: {available_percent: 1.2}
  register: opened

- name: Say how it ended
  koprogo.observability.incident:
    id: DiskFull-db1-20261122T030405Z-1f2e3d4c
    outcome: resolved
    ended: "2026-11-22T03:09:00Z"
    summary: Old logs were deleted.
"""

RETURN = r"""
folder:
  description: Where the record is.
  returned: success
  type: str
  sample: /var/lib/koprogo/remediation/incidents/DiskFull-db1-20261122T030405Z-1f2e3d4c
evidence_sha256:
  description: The digest of the evidence, for the option of that name of modules that act.
  returned: success
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
record:
  description: The whole record.
  returned: success
  type: dict
announced:
  description: What became of the line to the C(log) and of that to C(slack).
  returned: success
  type: dict
  sample: {"log": "written", "slack": "sent"}
"""

import json

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._errors import KoprogoError
from ansible_collections.koprogo.observability.plugins.module_utils._incident import Desk, merged
from ansible_collections.koprogo.observability.plugins.module_utils._ledger import Ledger


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "id": {"type": "str", "required": True},
            "alert": {"type": "str"},
            "severity": {"type": "str", "choices": ["critical", "warning", "info"]},
            "host": {"type": "str"},
            "run_by": {"type": "str"},
            "automatic": {"type": "bool"},
            "started": {"type": "str"},
            "ended": {"type": "str"},
            "outcome": {
                "type": "str",
                "choices": ["resolved", "not_resolved", "inconclusive", "refused", "failed"],
            },
            "summary": {"type": "str"},
            "evidence": {"type": "dict", "default": {}},
            "prediction": {"type": "dict", "default": {}},
            "result": {"type": "dict", "default": {}},
            "timeline": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "time": {"type": "str", "required": True},
                    "text": {"type": "str", "required": True},
                },
            },
            "runs": {"type": "list", "elements": "str", "default": []},
            "entries": {"type": "list", "elements": "dict", "default": []},
            "slack_webhook": {"type": "str", "no_log": True},
            "folder": {"type": "path", "default": "/var/lib/koprogo/remediation/incidents"},
            "log": {"type": "path", "default": "/var/log/koprogo/remediation.log"},
            "ledger": {"type": "path", "default": "/var/lib/koprogo/remediation/ledger.jsonl"},
        },
        supports_check_mode=True,
    )
    params = module.params
    desk = Desk(folder=params["folder"], log=params["log"], webhook=params["slack_webhook"] or "")
    announced = {"log": "none", "slack": "none"}
    try:
        before = desk.load(params["id"])
        news = {**params, "who": params["run_by"]}
        entries = [*Ledger(params["ledger"]).read().entries, *params["entries"]]
        record = {**merged(before, news, entries), "id": params["id"]}
        changed = record != before
        folder = f"{params['folder']}/{params['id']}"
        if changed and not module.check_mode:
            folder = desk.save(record)
            announced = desk.announce(record)
    except KoprogoError as error:
        module.fail_json(**error.as_result())
    except OSError as error:
        module.fail_json(msg=f"folder: {params['folder']}: {error}.")
    header = f"{params['folder']}/{params['id']}/record.json"
    module.exit_json(
        changed=changed,
        folder=folder,
        evidence_sha256=record["evidence_sha256"],
        record=record,
        announced=announced,
        diff={
            "before_header": header,
            "after_header": header,
            "before": json.dumps(before, indent=2, sort_keys=True) + "\n" if before else "",
            "after": json.dumps(record, indent=2, sort_keys=True) + "\n",
        },
    )


if __name__ == "__main__":
    main()
