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
  - A run that dies leaves its record without an outcome. O(state=swept) closes such ones of an alert on a
    host, as inconclusive unless the ledger has a verdict, and tells the ledger so.
  - With an O(outcome) and with O(state=swept) it deletes records that are closed and older than O(keep_days),
    or more than O(keep_records). One stays as long as the breaker of what it did is open, and so does one in
    which people have gone on with the post-mortem or put files of their own.
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
  state:
    description: Whether a record is written, or those are closed that were abandoned.
    type: str
    choices: [present, swept]
    default: present
  id:
    description: The incident; also the name of its folder.
    type: str
  abandoned_after:
    description: After how many seconds a record without an outcome is abandoned, at most a year.
    type: float
    default: 900
  keep_days:
    description: For how many days after its end a record stays, at least 30. The newest 20 stay in any case.
    type: float
    default: 365
  keep_records:
    description:
      - How many records stay, at least 50, of runs that acted, and as many of others.
    type: int
    default: 500
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

- name: Close what a run that died has left open
  koprogo.observability.incident:
    state: swept
    alert: DiskFull
    host: db1
    run_by: ada
"""

RETURN = r"""
expired:
  description: Records that were deleted as nobody needs them any more.
  returned: success
  type: list
  elements: str
  sample: []
closed:
  description: Records that were closed.
  returned: when O(state=swept)
  type: list
  elements: str
  sample: [DiskFull-db1-20261122T030405Z-1f2e3d4c]
folder:
  description: Where the record is.
  returned: when O(state=present)
  type: str
  sample: /var/lib/koprogo/remediation/incidents/DiskFull-db1-20261122T030405Z-1f2e3d4c
evidence_sha256:
  description: The digest of the evidence, for the option of that name of modules that act.
  returned: when O(state=present)
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
record:
  description: The whole record.
  returned: when O(state=present)
  type: dict
announced:
  description: What became of the line to the C(log) and of that to C(slack).
  returned: when O(state=present)
  type: dict
  sample: {"log": "written", "slack": "sent"}
"""

import contextlib
import json
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._errors import KoprogoError
from ansible_collections.koprogo.observability.plugins.module_utils._incident import (
    Desk,
    closed,
    merged,
)
from ansible_collections.koprogo.observability.plugins.module_utils._incident_retention import (
    JUDGED,
    Retention,
)
from ansible_collections.koprogo.observability.plugins.module_utils._ledger import Ledger
from ansible_collections.koprogo.observability.plugins.module_utils._numbers import DAY, within


def desk_of(params: dict[str, Any]) -> Desk:
    """Where the records are."""
    return Desk(folder=params["folder"], log=params["log"], webhook=params["slack_webhook"] or "")


def write(module: AnsibleModule) -> dict[str, Any]:
    """Add to a record."""
    params = module.params
    desk = desk_of(params)
    announced = {"log": "none", "slack": "none"}
    before = desk.load(params["id"])
    news = {**params, "who": params["run_by"]}
    entries = [*Ledger(params["ledger"]).read().entries, *params["entries"]]
    record = {**merged(before, news, entries), "id": params["id"]}
    changed = record != before
    folder = f"{params['folder']}/{params['id']}"
    if changed and not module.check_mode:
        folder = desk.save(record)
        announced = desk.announce(record)
    header = f"{params['folder']}/{params['id']}/record.json"
    return {
        "changed": changed,
        "folder": folder,
        "evidence_sha256": record["evidence_sha256"],
        "record": record,
        "announced": announced,
        "diff": {
            "before_header": header,
            "after_header": header,
            "before": json.dumps(before, indent=2, sort_keys=True) + "\n" if before else "",
            "after": json.dumps(record, indent=2, sort_keys=True) + "\n",
        },
    }


def sweep(module: AnsibleModule) -> dict[str, Any]:
    """Close what was abandoned."""
    params = module.params
    within("abandoned_after", params["abandoned_after"], 0, 365 * DAY)
    desk, ledger = desk_of(params), Ledger(params["ledger"])
    found = desk.abandoned(
        params["alert"], params["host"], before=_iso(time.time() - params["abandoned_after"])
    )
    names = [record["id"] for record in found]
    for record in [] if module.check_mode else found:
        ledger.give_up(
            merged(record, {}, ledger.read().entries)["runs"], who=params["run_by"] or ""
        )
        ended = closed(record, ledger.read().entries, now=_iso(time.time()))
        desk.save(ended)
        desk.announce(ended)
    return {
        "changed": bool(names),
        "closed": names,
        "diff": {"before": "", "after": "".join(f"{name} is closed\n" for name in names)},
    }


def expire(module: AnsibleModule) -> list[str]:
    """Delete records that nobody needs any more."""
    params = module.params
    desk = desk_of(params)
    states = Ledger(params["ledger"]).states()
    opened = {row["action"] for row in states if row["breaker"] == "open"}
    retention = Retention.of(days=params["keep_days"], records=params["keep_records"])
    names = []
    # One that stays a while longer is no reason to fail.
    with contextlib.suppress(OSError):
        # Without the evidence: all of it at once may be more than a host in need has.
        records = [{key: record.get(key) for key in JUDGED} for record in desk.records()]
        for name in retention.expired(records, now=time.time(), opened=opened):
            if desk.is_ours(name):
                if not module.check_mode:
                    desk.forget(name)
                names.append(name)
        if not module.check_mode:
            desk.tidy()
    return names


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "swept"], "default": "present"},
            "id": {"type": "str"},
            "abandoned_after": {"type": "float", "default": 900},
            "keep_days": {"type": "float", "default": 365},
            "keep_records": {"type": "int", "default": 500},
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
        required_if=[("state", "present", ["id"]), ("state", "swept", ["alert", "host"])],
        supports_check_mode=True,
    )
    try:
        swept = module.params["state"] == "swept"
        result = sweep(module) if swept else write(module)
        # Not before help: a run that only begins has no time for it.
        result["expired"] = expire(module) if swept or module.params["outcome"] else []
        result["changed"] = result["changed"] or bool(result["expired"])
    except KoprogoError as error:
        module.fail_json(**error.as_result())
    except OSError as error:
        module.fail_json(msg=f"folder: {module.params['folder']}: {error}.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
