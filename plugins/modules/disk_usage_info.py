#!/usr/bin/python
# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: disk_usage_info
short_description: What uses a file system
version_added: 0.1.0
author: KoproGo contributors (@koprogo)
description:
  - Walks one file system, never across a mount point or through a link, and returns its largest folders and
    files, the space that deleted files still use because a process has them open, inodes, the journal and the
    package cache.
  - Needs the same memory for any number of files, and stops at O(max_entries) or O(max_seconds).
extends_documentation_fragment:
  - koprogo.observability.attributes.info
seealso:
  - module: koprogo.observability.disk_reclaim
options:
  path:
    description: A folder on the file system. The walk begins at its mount point.
    type: path
    default: /
  root:
    description: A folder to begin at instead.
    type: path
  top:
    description: How many folders and files are returned, from 1 to 1000.
    type: int
    default: 20
  max_entries:
    description: Files and folders after which the walk ends.
    type: int
    default: 5000000
  max_seconds:
    description: Seconds after which the walk ends, from 0 to 86400.
    type: float
    default: 60
"""

EXAMPLES = r"""
- name: See what fills the disk
  koprogo.observability.disk_usage_info:
    path: /var/log
    top: 10
  register: disk
"""

RETURN = r"""
file_system:
  description: Where the walk began.
  returned: success
  type: str
  sample: /
space:
  description: The file system's room. Shares in percent, of what users can have.
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
tree:
  description: What the walk saw; C(truncated) if a limit ended it. Files with several names count once.
  returned: success
  type: dict
  sample: {"bytes": 9663676416, "files": 120345, "folders": 9001, "truncated": false}
largest_folders:
  description: Folders with all below them, the largest first. C(entries) counts what lies in and below one.
  returned: success
  type: list
  elements: dict
  sample: [{"path": "/var/log", "bytes": 7516192768, "entries": 210}]
largest_files:
  description: Files, the largest first. C(modified) is a Unix time.
  returned: success
  type: list
  elements: dict
  sample: [{"path": "/var/log/koprogo/api.log", "bytes": 4294967296, "modified": 1762732800}]
deleted_open:
  description: Files without a name that a process holds open, the largest first. Only its end frees them.
  returned: success
  type: list
  elements: dict
  sample:
    - pid: 812
      command: koprogo-api
      fd: 7
      path: /var/log/koprogo/api.log.1
      bytes: 1073741824
      writes: true
      deleted: true
deleted_open_bytes:
  description: What all such files use.
  returned: success
  type: int
  sample: 1073741824
open_files_complete:
  description: Whether the open files of all processes could be seen.
  returned: success
  type: bool
journal_bytes:
  description: What the journal uses on this file system.
  returned: success
  type: int
  sample: 536870912
package_cache_bytes:
  description: What downloaded packages use on this file system.
  returned: success
  type: int
  sample: 104857600
skipped:
  description: Folders that were not entered, at most 50, with the reason.
  returned: success
  type: list
  elements: dict
  sample: [{"path": "/proc", "reason": "mount"}]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.koprogo.observability.plugins.module_utils._disk_usage import usage
from ansible_collections.koprogo.observability.plugins.module_utils._errors import KoprogoError
from ansible_collections.koprogo.observability.plugins.module_utils._numbers import DAY, within


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/"},
            "root": {"type": "path"},
            "top": {"type": "int", "default": 20},
            "max_entries": {"type": "int", "default": 5_000_000},
            "max_seconds": {"type": "float", "default": 60.0},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        within("top", params["top"], 1, 1000)
        within("max_seconds", params["max_seconds"], 0, DAY)
        result = usage(
            params["path"],
            top=params["top"],
            max_entries=params["max_entries"],
            max_seconds=params["max_seconds"],
            root=params["root"],
        )
    except KoprogoError as error:
        module.fail_json(**error.as_result())
    except OSError as error:
        module.fail_json(msg=f"path: {params['path']}: {error}.")
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
