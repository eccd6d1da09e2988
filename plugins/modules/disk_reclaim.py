#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: disk_reclaim
short_description: Free a file system by policies, least valuable first, until a target is reached
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Does nothing where the target is reached. Else applies O(policies) in a fixed order, journal, package
    cache, logs, Docker, backups, Docker volumes, and stops as soon as enough is free.
  - Enough is the target and, of what lacks, 512 KiB or 16 inodes more where the ledger is on the same file
    system, as ledger and record would undo what was reached. Nothing destructive is done for that.
  - Within a policy the oldest files go first, and no more of them than are needed.
  - Only regular files below the named roots go, on the file system of O(path), never through a link or a
    mount point, never a file that a process has open, never from a database's data folder, and never one of
    several names of a file whose other names stay.
  - Each file is looked at once more by its folder's descriptor right before it is deleted; one that was
    replaced meanwhile is judged anew.
  - Backups and Docker volumes are destructive. They are left out of an automatic run, and refused without a
    ledger that can be trusted.
  - Works with 0 bytes and 0 inodes free; needs no temporary file.
notes:
  - The prediction of check mode counts allocated blocks, and is what the run frees of the same files. That of
    Docker is an estimate, as RV(policies[].exact) says.
extends_documentation_fragment:
  - koprogo.observability.attributes
  - koprogo.observability.guard
seealso:
  - module: koprogo.observability.disk_usage_info
  - module: koprogo.observability.remediation_ledger
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  path:
    description: A folder on the file system that is to be freed.
    type: path
    default: /
  free_percent:
    description: Share of the file system that is to be available to users, in percent.
    type: float
  free_bytes:
    description: What is to be available to users, such as V(5G).
    type: str
  free_inodes_percent:
    description: Share of the inodes that is to be free, in percent.
    type: float
  max_bytes:
    description: What each policy may free at most, unless it says otherwise.
    type: str
    default: 100G
  max_files:
    description: How many files each policy may delete at most, unless it says otherwise.
    type: int
    default: 1000000
  policies:
    description: What may go.
    type: list
    elements: dict
    required: true
    suboptions:
      kind:
        description:
          - V(journal) deletes archived journal files, V(apt_cache) downloaded packages, V(docker) images
            without a name and unused build cache, V(docker_volumes) the named volumes.
          - V(logs) and V(backups) delete the files that O(policies[].roots) and O(policies[].patterns) name.
        type: str
        required: true
        choices: [journal, apt_cache, logs, docker, backups, docker_volumes]
      roots:
        description:
          - Absolute paths of folders. One from which the system or a database's data can be reached, such as
            V(/var), is refused.
        type: list
        elements: str
      patterns:
        description: Patterns of file names, such as V(*.log). Without one the run is refused.
        type: list
        elements: str
      older_than:
        description:
          - Days since the last modification. 7 for V(journal) and V(backups), 30 for V(logs) without it.
        type: float
      keep_newest:
        description: How many of the newest backups stay, whatever their age. Empty files do not count.
        type: int
        default: 3
      keep_by:
        description: Whether O(policies[].keep_newest) counts in each folder, or in all roots together.
        type: str
        choices: [directory, root]
        default: directory
      verified_suffix:
        description:
          - A backup with a file beside it of its name and this suffix was verified.
          - The newest verified one stays.
        type: str
        default: .verified
      verified:
        description: Names of backups that were verified.
        type: list
        elements: str
        default: []
      truncate_open:
        description:
          - Whether log files that a process has open for writing, whatever their age, are emptied if all else
            is not enough; the largest first.
        type: bool
        default: false
      truncate_above:
        description: What such a file has to use at least.
        type: str
        default: 100M
      volumes:
        description: Names of Docker volumes. One that a container has stays.
        type: list
        elements: str
      socket:
        description: The Docker engine's socket. Where there is none, nothing is done.
        type: path
        default: /var/run/docker.sock
      max_bytes:
        description: What this policy may free at most.
        type: str
      max_files:
        description: How many files this policy may delete at most.
        type: int
"""

EXAMPLES = r"""
- name: Make room on the root file system
  koprogo.observability.disk_reclaim:
    path: /
    free_percent: 20
    alert: DiskFull
    policies:
      - kind: journal
        older_than: 7
      - kind: apt_cache
      - kind: logs
        roots: [/var/log]
        patterns: ["*.log", "*.gz"]
        older_than: 30
      - kind: docker
      - kind: backups
        roots: [/var/backups]
        patterns: ["*.gpg"]
        older_than: 7
        keep_newest: 3
"""

RETURN = r"""
file_system:
  description: The folder on the file system.
  returned: success
  type: str
  sample: /
missing:
  description: What had to be freed.
  returned: success
  type: dict
  sample: {"bytes": 1073741824, "inodes": 0}
predicted:
  description: What the policies free together by the plan.
  returned: success
  type: dict
  sample: {"bytes": 1086324736, "inodes": 412}
freed:
  description: What they freed; nothing in check mode.
  returned: success
  type: dict
  sample: {"bytes": 1086324736, "inodes": 412}
target_reached:
  description: Whether the target is reached now.
  returned: success
  type: bool
  sample: true
before:
  description: The file system before. Shares in percent.
  returned: success
  type: dict
  sample:
    size_bytes: 10737418240
    free_bytes: 536870912
    available_bytes: 0
    reserved_bytes: 536870912
    available_percent: 0.0
    inodes: 655360
    inodes_free: 600000
    inodes_free_percent: 91.55
after:
  description: The file system now, as RV(before).
  returned: success
  type: dict
open_files_complete:
  description: Whether the open files of all processes could be seen.
  returned: success
  type: bool
policies:
  description: What each policy did, in order.
  returned: success
  type: list
  elements: dict
  contains:
    policy:
      description: Kind and place in the option.
      type: str
      sample: logs[2]
    kind:
      description: As in the option.
      type: str
    reversibility:
      description: V(lossy) or V(destructive).
      type: str
    status:
      description: V(planned), V(not_needed), V(nothing), V(skipped), V(refused), V(done) or V(failed).
      type: str
    reason:
      description: Why it was skipped or refused, or failed.
      type: str
    exact:
      description: Whether the prediction is exact.
      type: bool
    capped:
      description: Whether a cap kept it from choosing more.
      type: bool
    predicted:
      description: C(bytes), C(inodes) and C(files) by the plan.
      type: dict
    freed:
      description: C(bytes), C(inodes) and C(files) in truth.
      type: dict
    deleted:
      description: The 50 largest files that went, with C(path), C(bytes) and C(modified) (Unix time).
      type: list
      elements: dict
    truncated:
      description: Files that were emptied, with C(path) and C(bytes).
      type: list
      elements: dict
    skipped:
      description: Files and folders that stay, at most 200, with C(path) and C(reason).
      type: list
      elements: dict
guards:
  description:
    - What the guard said to the lossy and to the destructive part, with C(allowed), C(code), C(reason),
      C(run_id), C(evidence_sha256), C(state) and C(ledger).
  returned: success
  type: list
  elements: dict
"""

import time
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._acting_module import (
    ActingModule,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_places import Places
from ansible_collections.koprogo.observability.plugins.module_utils._disk_policy import (
    POLICY_OPTIONS,
    policies_of,
    wrong_policy,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_reclaim import (
    Reclaim,
    notes_on,
    reclaim,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_space import Target
from ansible_collections.koprogo.observability.plugins.module_utils._errors import KoprogoError
from ansible_collections.koprogo.observability.plugins.module_utils._ledger import (
    GUARD_OPTIONS,
    Ledger,
)
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_store import PATH


def main() -> None:
    """Module entry point."""
    module = ActingModule(
        argument_spec={
            **GUARD_OPTIONS,
            "path": {"type": "path", "default": "/"},
            "free_percent": {"type": "float"},
            "free_bytes": {"type": "str"},
            "free_inodes_percent": {"type": "float"},
            "max_bytes": {"type": "str", "default": "100G"},
            "max_files": {"type": "int", "default": 1_000_000},
            "policies": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": POLICY_OPTIONS,
            },
        },
        required_one_of=[("free_percent", "free_bytes", "free_inodes_percent")],
        supports_check_mode=True,
        explain=wrong_policy,
    )
    params = module.params
    result: dict[str, Any] = {}
    try:
        target = Target.of(params)
        places = Places.of_host()
        policies = policies_of(
            params["policies"],
            places,
            max_bytes=params["max_bytes"],
            max_files=params["max_files"],
        )
        notes = notes_on(params["path"], params["ledger"] or PATH)
        work = Reclaim(
            policies,
            path=params["path"],
            target=target,
            places=places,
            now=time.time(),
            notes=notes,
        )
        result = reclaim(work, Ledger(params["ledger"]), params, check=module.check_mode)
    except KoprogoError as error:
        module.fail_json(**error.as_result())
    except OSError as error:
        module.fail_json(msg=f"path: {params['path']}: {error}.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
