# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give module C(stack_verify_host) what the inventory says about its host."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.koprogo.observability.plugins.plugin_utils._hostvars import remembered
from ansible_collections.koprogo.observability.plugins.plugin_utils._stack_plan import host_plan


class ActionModule(ActionBase):
    """Plans on the control node, looks on the host."""

    _requires_connection = True
    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run the module with the units, doors and logs of this host."""
        task_vars = task_vars or {}
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        plan = host_plan(
            task_vars["inventory_hostname"],
            task_vars["groups"],
            remembered(task_vars["hostvars"]),
            args.get("logs") or [],
            float(args.get("max_exposure", 2.0)),
        )
        observed: dict[str, Any] = self._execute_module(
            module_name="koprogo.observability.stack_verify_host",
            # What the task says itself wins, but its logs were only the choice to pick from.
            module_args={**plan, **{k: v for k, v in args.items() if k != "logs"}},
            task_vars=task_vars,
        )
        return {**result, **observed}
