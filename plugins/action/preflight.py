# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judge inventory, options and host before anything is changed. See the module's documentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.koprogo.observability.plugins.plugin_utils._alertmanager import (
    variable_errors as alertmanager_errors,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._alertmanager import (
    variable_warnings as alertmanager_warnings,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_catalogue import (
    DEPLOYMENT_VARIABLE,
    HOST_VARIABLE,
    interval_errors,
    own_rule_errors,
    settings_errors,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import (
    Component,
    setting,
)
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


def _prometheus_errors(variables: Mapping[str, Any]) -> list[str]:
    alerts = setting(variables, "prometheus", "alerts") or {}
    errors = settings_errors(DEPLOYMENT_VARIABLE, alerts)
    if not errors:
        intervals = {
            f"prometheus_{name}": setting(variables, "prometheus", name)
            for name in ("scrape_interval", "evaluation_interval")
        }
        errors = interval_errors(alerts, intervals)
        own = setting(variables, "prometheus", "rules")
        errors += own_rule_errors("prometheus_rules", own, alerts)
    return errors


# Beyond types and formats: what a component's options mean together.
_VARIABLE_ERRORS: Mapping[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "alertmanager": alertmanager_errors,
    "prometheus": _prometheus_errors,
}


class ActionModule(ActionBase):
    """Collects the errors of the control node's side, then the host's, and reports them together."""

    _requires_connection = True
    _supports_check_mode = True
    TRANSFERS_FILES = False

    def _option_errors(
        self, component: Component, task_vars: Mapping[str, Any]
    ) -> tuple[list[str], list[str]]:
        """Errors and warnings in the options of one role."""
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
        if not errors and component.name in _VARIABLE_ERRORS:
            errors = _VARIABLE_ERRORS[component.name](variables)
        warnings: list[str] = []
        if component.name == "alertmanager" and not errors:
            warnings = alertmanager_warnings(variables)
        if not errors:
            errors = protection_errors(component.name, variables)
        return errors, warnings

    def _alert_errors(self, task_vars: Mapping[str, Any], components: list[str]) -> list[str]:
        """The host's own settings of alerts, and Loki's rules, which share their names with Prometheus'."""
        found: dict[str, Any] = {}
        for name in (HOST_VARIABLE, DEPLOYMENT_VARIABLE, "loki_rules"):
            try:
                found[name] = self._templar.template(task_vars.get(name, {}))
            except AnsibleError as error:
                return [f"{name}: expected a value that can be templated, found: {error}"]
        errors = settings_errors(HOST_VARIABLE, found[HOST_VARIABLE])
        deployment = found[DEPLOYMENT_VARIABLE]
        if "loki" in components and not settings_errors(DEPLOYMENT_VARIABLE, deployment):
            errors += own_rule_errors("loki_rules", found["loki_rules"], deployment or {})
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
        warnings: list[str] = []
        for component in components:
            found, undone = self._option_errors(component, task_vars)
            errors += found
            warnings += undone
        errors += self._alert_errors(task_vars, [c.name for c in components])
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
        if warnings:
            result["warnings"] = warnings
        if errors:
            result.update(failed=True, msg="Nothing was changed. " + "; ".join(errors))
        return result
