# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judge inventory, options and host before anything is changed. See the module's documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.koprogo.observability.plugins.plugin_utils._alertmanager import (
    variable_errors as alertmanager_errors,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import Component
from ansible_collections.koprogo.observability.plugins.plugin_utils._options import (
    missing_errors,
    option_errors,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._protection import (
    host_needs,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._protection import (
    variable_errors as protection_errors,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._topology import (
    components_of,
    inventory_errors,
    ports_of,
)

_SUPPORTED = {"Debian": ("12", "13")}


class ActionModule(ActionBase):
    """Collects the errors of the control node's side, then the host's, and reports them together."""

    _requires_connection = True
    _supports_check_mode = True
    TRANSFERS_FILES = False

    def _option_errors(self, component: Component, task_vars: Mapping[str, Any]) -> list[str]:
        variables: dict[str, Any] = {}
        errors: list[str] = []
        for name in task_vars:
            if not name.startswith(f"{component.name}_"):
                continue
            try:
                variables[name] = self._templar.template(task_vars[name])
            except AnsibleError as error:
                errors.append(f"{name}: expected a value that can be templated, found: {error}")
        errors += option_errors(component.name, variables) + missing_errors(component, variables)
        if component.name == "alertmanager" and not errors:
            errors = alertmanager_errors(variables)
        if not errors:
            errors = protection_errors(component.name, variables)
        return errors

    @staticmethod
    def _platform_errors(task_vars: Mapping[str, Any]) -> list[str]:
        facts = task_vars.get("ansible_facts", {})
        name = facts.get("distribution", "unknown")
        release = str(facts.get("distribution_major_version", "unknown"))
        if release in _SUPPORTED.get(name, ()):
            return []
        expected = ", ".join(f"{d} {' or '.join(r)}" for d, r in _SUPPORTED.items())
        return [f"distribution: expected {expected}, found {name} {release}"]

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run the checks; the result's C(errors) has one sentence for each finding."""
        task_vars = task_vars or {}
        result: dict[str, Any] = super().run(tmp, task_vars)
        host = task_vars["inventory_hostname"]
        groups, hostvars = task_vars["groups"], task_vars["hostvars"]

        errors = inventory_errors(groups, hostvars) + self._platform_errors(task_vars)
        components = components_of(host, groups, hostvars)
        for component in components:
            errors += self._option_errors(component, task_vars)
        needs = host_needs(
            [c.name for c in components], hostvars[host], task_vars.get("group_names", [])
        )
        module_args = {
            "ports": {c.unit: port for c, port in ports_of(host, groups, hostvars)},
            "postgresql": host in groups.get("database", []),
            **needs,
        }
        observed = self._execute_module(
            module_name="koprogo.observability.preflight",
            module_args=module_args,
            task_vars=task_vars,
        )
        if "errors" not in observed:
            return {**result, **observed}
        errors += observed["errors"]
        result.update(changed=False, errors=errors, components=[c.name for c in components])
        if errors:
            result.update(failed=True, msg="Nothing was changed. " + "; ".join(errors))
        return result
