# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the roles that detect, ban and guard, judged before anything is changed.

This file is private to the collection.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.koprogo.observability.plugins.plugin_utils._allowlist import entry_errors
from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import setting

__all__ = ["host_needs", "local_connection", "variable_errors"]

# Who comes by these can't be kept out by a ban.
_LOCAL = frozenset(
    ("local", "docker", "community.docker.docker", "podman", "containers.podman.podman", "chroot")
)
_JAIL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_GO_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|m|s))+")
_SYSTEMD_SPAN = re.compile(r"\d+(?:s|sec|m|min|h)?")
#: Numbers that make no sense below one.
_POSITIVE = tuple(
    f"{jail}_{what}"
    for jail in ("sshd", "api", "postgresql")
    for what in ("maxretry", "findtime", "bantime")
)


def _given(variables: Mapping[str, Any], role: str, option: str) -> Any:
    """What the user gave; a default that is a template is judged where it is made, not here."""
    value = setting(variables, role, option)
    return None if isinstance(value, str) and "{{" in value else value


def _list_errors(variables: Mapping[str, Any], role: str) -> list[str]:
    errors = []
    for option in ("allowlist", "control_addresses"):
        entries = _given(variables, role, option)
        if entries is not None:
            errors += entry_errors(f"{role}_{option}", entries)
    return errors


def _fail2ban(variables: Mapping[str, Any]) -> list[str]:
    errors = _list_errors(variables, "fail2ban")
    for option in _POSITIVE:
        value = int(setting(variables, "fail2ban", option))
        if value < 1:
            errors.append(f"fail2ban_{option}: expected a number above 0, found {value}")
    for name, jail in (setting(variables, "fail2ban", "jails") or {}).items():
        where = f"fail2ban_jails.{name}"
        if not _JAIL.fullmatch(str(name)):
            errors.append(f"{where}: expected a name of letters, digits, '_' and '-'")
        elif not isinstance(jail, Mapping):
            errors.append(f"{where}: expected options by name, found '{jail}'")
        elif not (jail.get("logpath") or jail.get("journalmatch")):
            errors.append(f"{where}: expected logpath or journalmatch, found neither")
    return errors


def _suricata(variables: Mapping[str, Any]) -> list[str]:
    errors = []
    for entry in _given(variables, "suricata", "home_net") or []:
        try:
            ipaddress.ip_network(str(entry).removeprefix("!"))
        except ValueError as error:
            errors.append(
                f"suricata_home_net: expected an address or a network such as 192.0.2.0/24, "
                f"found '{entry}' ({error})"
            )
    if _given(variables, "suricata", "interfaces") == []:
        errors.append("suricata_interfaces: expected at least one interface, found none")
    return errors


def _crowdsec(variables: Mapping[str, Any]) -> list[str]:
    errors = _list_errors(variables, "crowdsec")
    duration = str(setting(variables, "crowdsec", "ban_duration"))
    if not _GO_DURATION.fullmatch(duration):
        errors.append(
            f"crowdsec_ban_duration: expected a duration such as 4h or 90m, found '{duration}'"
        )
    ports = [int(setting(variables, "crowdsec", f"{p}port")) for p in ("", "api_", "bouncer_")]
    if len(set(ports)) < len(ports):
        errors.append(
            f"crowdsec_port, crowdsec_api_port, crowdsec_bouncer_port: expected a port of its own "
            f"for each, found {', '.join(map(str, ports))}"
        )
    return errors


def variable_errors(role: str, variables: Mapping[str, Any]) -> list[str]:
    """One sentence for each mistake in the options of C(role).

    variables: templated and of the right types.
    """
    judges = {"fail2ban": _fail2ban, "suricata": _suricata, "crowdsec": _crowdsec}
    if role not in (*judges, "firewall"):
        return []
    span = str(setting(variables, role, "watch_interval"))
    errors = judges[role](variables) if role in judges else []
    if not _SYSTEMD_SPAN.fullmatch(span):
        errors.append(f"{role}_watch_interval: expected a duration such as 30s, found '{span}'")
    return errors


def local_connection(plugin: str) -> bool:
    """Whether a connection plugin reaches the host without an address that could be banned."""
    return plugin in _LOCAL


def host_needs(
    roles: Iterable[str], variables: Mapping[str, Any], group_names: Iterable[str]
) -> dict[str, Any]:
    """What the host itself must have: C(interfaces), and C(files).

    C(control_node) says whether the control node's address must be known from the connection.
    """
    roles, groups = set(roles), set(group_names)
    needs: dict[str, Any] = {"interfaces": [], "files": [], "control_node": False}
    if "suricata" in roles:
        needs["interfaces"] = list(_given(variables, "suricata", "interfaces") or [])
    if "fail2ban" in roles and _on(variables, "fail2ban", "api", "api" in groups):
        needs["files"].append(
            {
                "option": "fail2ban_api_log",
                # fail2ban would not start without it.
                "expected": "a log to watch",
                "path": str(setting(variables, "fail2ban", "api_log")),
            }
        )
    local = local_connection(variables.get("ansible_connection", "ssh"))
    for role in roles & {"fail2ban", "crowdsec"}:
        known = _given(variables, role, "control_addresses") or variables.get(
            "koprogo_control_addresses"
        )
        needs["control_node"] = needs["control_node"] or not (local or known)
    return needs


def _on(variables: Mapping[str, Any], role: str, option: str, otherwise: bool) -> bool:
    value = _given(variables, role, option)
    return otherwise if value is None else bool(value)
