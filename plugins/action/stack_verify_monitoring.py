# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give module C(stack_verify_monitoring) what the inventory says, and the marks of all hosts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.koprogo.observability.plugins.plugin_utils._hostvars import remembered
from ansible_collections.koprogo.observability.plugins.plugin_utils._stack_plan import (
    monitoring_plan,
)


class ActionModule(ActionBase):
    """Plans on the control node, asks on the monitoring host."""

    _requires_connection = True
    _supports_check_mode = True
    TRANSFERS_FILES = False

    @staticmethod
    def _marks(variable: str, task_vars: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The marked lines that the hosts of this play wrote."""
        marks: list[dict[str, Any]] = []
        for host in task_vars.get("ansible_play_hosts_all", []):
            observed = task_vars["hostvars"][host].get(variable) or {}
            marks += observed.get("marks") or []
        return marks

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run the module on a monitoring host; elsewhere say that there is nothing to ask."""
        task_vars = task_vars or {}
        result: dict[str, Any] = super().run(tmp, task_vars)
        host, groups = task_vars["inventory_hostname"], task_vars["groups"]
        if host not in groups.get("monitoring", []):
            return {**result, "skipped": True, "skip_reason": "no monitoring host"}
        args = dict(self._task.args)
        marks = self._marks(str(args.pop("marks_from", "__verify_host")), task_vars)
        plan = monitoring_plan(
            host, groups, remembered(task_vars["hostvars"]), marks=marks, options=args
        )
        observed: dict[str, Any] = self._execute_module(
            module_name="koprogo.observability.stack_verify_monitoring",
            module_args=plan,
            task_vars=task_vars,
        )
        return {**result, **observed}
