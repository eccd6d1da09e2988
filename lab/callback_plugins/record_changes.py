# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Record what each run said it changed, so that a test can hold predictions against real runs."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: record_changes
type: aggregate
short_description: Record what each run said it changed
description:
  - Appends one JSON line for each run to the file named by the environment variable C(RECORD_CHANGES).
  - It has the playbook, whether it was a check, the seconds, results by state and each changed task by host.
requirements:
  - Enable in C(callbacks_enabled).
"""


class CallbackModule(CallbackBase):
    """One record for each run of a playbook."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "record_changes"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Start with an empty record."""
        super().__init__(*args, **kwargs)
        self._playbook = ""
        self._started = time.monotonic()
        self._changed: list[tuple[str, str]] = []
        # Ansible counts on through all playbooks of one command.
        self._before: dict[str, dict[str, int]] = {}

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Begin the playbook's record."""
        self._playbook = Path(playbook._file_name).stem
        self._started = time.monotonic()
        self._changed = []

    def v2_runner_on_ok(self, result: Any) -> None:
        """Remember a changed task."""
        if result.is_changed():
            self._changed.append((result._host.get_name(), result._task.get_name()))

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Write the record."""
        target = os.environ.get("RECORD_CHANGES")
        if not target:
            return
        counted = {host: stats.summarize(host) for host in stats.processed}
        record = {
            "playbook": self._playbook,
            "check": bool(context.CLIARGS.get("check")),
            "seconds": round(time.monotonic() - self._started, 1),
            "hosts": {
                host: {
                    key: count - self._before.get(host, {}).get(key, 0)
                    for key, count in row.items()
                }
                for host, row in counted.items()
            },
            "changed": sorted(self._changed),
        }
        self._before = counted
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
