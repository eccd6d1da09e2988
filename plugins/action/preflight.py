# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judge inventory, options and host before anything is changed. See the module's documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from itertools import compress
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.koprogo.observability.plugins.plugin_utils._addresses import (
    address,
    known_addresses,
)
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
    DEPLOYMENT,
    DOOR_ROLES,
    role_defaults,
    setting,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._certificates import (
    AUTHORITIES,
    authority_errors,
    key_file,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._certificates import (
    option_errors as certificate_errors,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._doors import (
    address_errors,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._doors import (
    option_errors as door_errors,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._grafana import (
    password_problem,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._hostvars import (
    HostVars,
    remembered,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._options import (
    missing_errors,
    option_errors,
    variable_errors,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._protection import (
    host_needs,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._protection import (
    variable_errors as protection_errors,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._sources import (
    downloads,
    selects,
    source_errors,
    vendors,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._topology import (
    components_of,
    has_doors,
    inventory_errors,
    packages_of,
    ports_of,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._variables import (
    FOREIGN_PREFIX,
    PREFIX,
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


def _grafana_errors(variables: Mapping[str, Any]) -> list[str]:
    problem = password_problem(str(setting(variables, "grafana", "admin_password")))
    return [problem] if problem else []


# Beyond types and formats: what a role's options mean together.
_VARIABLE_ERRORS: Mapping[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "alertmanager": alertmanager_errors,
    "grafana": _grafana_errors,
    "pki": certificate_errors,
    "prometheus": _prometheus_errors,
}


def _is_first(download: Mapping[str, Any]) -> bool:
    """Whether no other host of this run has said so of the same file and checksum.

    Only hosts that lack the file ask, so it is one of them that downloads it to compare.
    """
    same = sha256(f"{download['url']} {download['sha256']}".encode()).hexdigest()
    # The folder is the run's own, and all its processes have it.
    mark = Path(constants.DEFAULT_LOCAL_TMP, f"koprogo-judged-{same}")
    try:
        mark.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        return False
    return True


class ActionModule(ActionBase):
    """Collects the errors of the control node's side, then the host's, and reports them together."""

    _requires_connection = True
    _supports_check_mode = True
    TRANSFERS_FILES = False

    def _templated(
        self, names: Iterable[str], task_vars: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[str]]:
        """The variables of these names, and a sentence for each that can't be had."""
        variables: dict[str, Any] = {}
        errors: list[str] = []
        for name in names:
            try:
                variables[name] = self._templar.template(task_vars.get(name, {}))
            except AnsibleError as error:
                errors.append(f"{name}: expected a value that can be templated, found: {error}")
        return variables, errors

    def _option_errors(
        self, role: str, needs: Iterable[str], task_vars: Mapping[str, Any], hostvars: HostVars
    ) -> tuple[list[str], list[str]]:
        """Errors and warnings in the options of one role."""
        variables, errors = self._templated(
            (name for name in task_vars if name.startswith(f"{role}_")), task_vars
        )
        errors += option_errors(role, variables) + missing_errors(role, needs, variables)
        errors += source_errors(role, variables, task_vars, self._find_needle)
        if not errors and role in _VARIABLE_ERRORS:
            errors = _VARIABLE_ERRORS[role](variables)
        warnings: list[str] = []
        if role == "alertmanager" and not errors:
            warnings = alertmanager_warnings(variables)
        if role == "firewall" and not errors:
            errors = door_errors(variables, hostvars)
        if not errors:
            errors = protection_errors(role, variables)
        return errors, warnings

    def _variable_errors(self, task_vars: Mapping[str, Any]) -> list[str]:
        """Errors in the inventory's own variables, which facts of such a name are not."""
        names = [
            name
            for name in task_vars
            if name.startswith(PREFIX)
            and not name.startswith(FOREIGN_PREFIX)
            and name not in task_vars.get("ansible_facts", {})
        ]
        variables, errors = self._templated(names, task_vars)
        return errors + variable_errors(variables)

    def _alert_errors(self, task_vars: Mapping[str, Any], components: list[str]) -> list[str]:
        """The host's own settings of alerts, and Loki's rules, which share their names with Prometheus'."""
        names = (HOST_VARIABLE, DEPLOYMENT_VARIABLE, "loki_rules", "prometheus_rules")
        found, errors = self._templated(names, task_vars)
        if errors:
            return errors
        errors = settings_errors(HOST_VARIABLE, found[HOST_VARIABLE])
        deployment = found[DEPLOYMENT_VARIABLE]
        if "loki" in components and not settings_errors(DEPLOYMENT_VARIABLE, deployment):
            errors += own_rule_errors(
                "loki_rules",
                found["loki_rules"],
                deployment or {},
                beside=("prometheus_rules", found["prometheus_rules"]),
            )
        return errors

    @staticmethod
    def _fetched(
        roles: Iterable[str], task_vars: Mapping[str, Any], hostvars: HostVars
    ) -> dict[str, Any]:
        """What this run would fetch if the host lacked it."""
        host, groups = task_vars["inventory_hostname"], task_vars["groups"]
        found: dict[str, Any] = {"packages": [], "downloads": [], "vendors": []}
        if selects(task_vars, []):
            found["packages"] = packages_of(host, groups, hostvars, pinned=True)
        for role in roles:
            if selects(task_vars, [f"{role}_install"]):
                found["downloads"] += downloads(role, hostvars[host], task_vars)
                found["vendors"] += vendors(role, hostvars[host], task_vars)
        return found

    @staticmethod
    def _authority_errors(pem: str, variables: Mapping[str, Any], inventory_dir: str) -> list[str]:
        """An authority that the host trusts and this control node hasn't."""
        if variables.get("pki_certificate"):
            return []
        signer = str(variables.get("pki_authority") or role_defaults("pki")["pki_authority"])
        directory = Path(str(variables.get("pki_directory") or f"{inventory_dir}/.pki"))
        return authority_errors(
            pem,
            deployment=str(variables.get("koprogo_deployment") or DEPLOYMENT),
            names=[str(name) for name in variables.get("pki_trusted_authorities") or [signer]],
            kept={path.stem.removeprefix("ca-") for path in directory.glob("ca-*.crt")},
            directory=str(directory),
        )

    def _ask(self, module_args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """What the host says."""
        answer: dict[str, Any] = self._execute_module(
            module_name="koprogo.observability.preflight",
            module_args=module_args,
            task_vars=task_vars,
        )
        return answer

    def _try(
        self,
        downloads: Sequence[Mapping[str, Any]],
        missing: Sequence[bool],
        task_vars: dict[str, Any],
    ) -> dict[str, Any]:
        """What the host says of the files that it lacks; one host of the run compares each fully."""
        lacking = compress(downloads, missing)
        return self._ask(
            {"downloads": [{**one, "judged": _is_first(one)} for one in lacking]}, task_vars
        )

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
        groups, hostvars = task_vars["groups"], remembered(task_vars["hostvars"])

        errors = inventory_errors(groups, hostvars) + address_errors(host, groups, hostvars)
        errors += self._platform_errors(task_vars) + self._variable_errors(task_vars)
        components = components_of(host, groups, hostvars)
        roles = {c.name: c.needs for c in components}
        doors = [role for role in DOOR_ROLES if has_doors(groups)]
        warnings: list[str] = []
        for role, needed in (roles | dict.fromkeys(doors, ())).items():
            found, undone = self._option_errors(role, needed, task_vars, hostvars)
            errors += found
            warnings += undone
        about_alerts = self._alert_errors(task_vars, [c.name for c in components])
        errors += [error for error in about_alerts if error not in errors]
        needs = host_needs(
            [c.name for c in components], hostvars[host], task_vars.get("group_names", [])
        )
        if doors:
            needs["files"] += key_file(hostvars[host])
        ports = ports_of(host, groups, hostvars)
        own = "*"
        if any(port.door for port in ports):
            # A name that nobody knows is an error already.
            own = next(iter(known_addresses(address(host, hostvars[host]))), own)
        module_args = {
            "ports": [
                {"unit": port.unit, "port": port.number, **({"address": own} if port.door else {})}
                for port in ports
            ],
            "authorities": AUTHORITIES if doors else "",
            "postgresql": host in groups.get("database", []),
            **needs,
            # Quick to fail: what is wrong without the network is told first.
            **({} if errors else self._fetched(roles, task_vars, hostvars)),
        }
        observed = self._ask(module_args, task_vars)
        if "errors" not in observed:
            return {**result, **observed}
        errors += observed["errors"]
        if any(observed["missing"]):
            tried = self._try(module_args["downloads"], observed["missing"], task_vars)
            if "errors" not in tried:
                return {**result, **tried}
            errors += tried["errors"]
        errors += self._authority_errors(
            observed["authorities"], hostvars[host], str(task_vars.get("inventory_dir") or "")
        )
        result.update(changed=False, errors=errors, components=[c.name for c in components])
        if warnings:
            result["warnings"] = warnings
        if errors:
            result.update(failed=True, msg="Nothing was changed. " + "; ".join(errors))
        return result
