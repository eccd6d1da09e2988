# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every role's options for one host, judged at once and before the first of them is used.

This file is private to the collection.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator, ValidationResult

from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import (
    role_argument_spec,
    setting,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._formats import format_error
from ansible_collections.koprogo.observability.plugins.plugin_utils._variables import VARIABLES

__all__ = ["missing_errors", "option_errors", "validated", "variable_errors"]


def _plain(value: Any) -> Any:
    """The value in Python's own containers.

    A deep copy of Ansible's takes the templar with it, with all variables of all hosts.
    """
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def validated(spec: Mapping[str, Any], given: Mapping[str, Any]) -> ValidationResult:
    """Options judged by an argument specification, which copies them deeply."""
    return ArgumentSpecValidator(spec).validate(_plain(given))


def _unknown(names: Iterable[str], known: Iterable[str], otherwise: str) -> list[str]:
    known = list(known)
    errors = []
    for name in names:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        hint = f"did you mean {near[0]}?" if near else otherwise
        errors.append(f"{name}: unknown option; {hint}")
    return errors


def _blamed(name: str, messages: Iterable[str]) -> bool:
    return any(name in message for message in messages)


def missing_errors(role: str, needs: Iterable[str], variables: Mapping[str, Any]) -> list[str]:
    """One sentence for each option that the role can't do without and that is empty: C(needs), a source."""
    errors = [
        f"{role}_{option}: expected a value, found nothing"
        for option in needs
        if not setting(variables, role, option)
    ]
    if setting(variables, role, "install") == "archive":
        errors += [
            f"{role}_{option}: expected a value because {role}_install is archive, found nothing"
            for option in ("archive", "archive_sha256")
            if not setting(variables, role, option)
        ]
    return errors


def option_errors(role: str, variables: Mapping[str, Any]) -> list[str]:
    """One sentence for each option of a role that is unknown, of the wrong type or impossible.

    variables: the host's templated variables; those named C(<role>_*) are judged.
    """
    given = {k: v for k, v in variables.items() if k.startswith(f"{role}_")}
    spec = role_argument_spec(role)
    return _judged(given, spec, where=f"role {role}", otherwise=f"role {role} has no such option")


def variable_errors(variables: Mapping[str, Any]) -> list[str]:
    """As C(option_errors), for the inventory's own variables, C(koprogo_*), all of which are given."""
    known = ", ".join(VARIABLES)
    return _judged(variables, VARIABLES, where="inventory", otherwise=f"expected one of {known}")


def _judged(
    given: Mapping[str, Any], spec: Mapping[str, Any], *, where: str, otherwise: str
) -> list[str]:
    errors = _unknown(sorted(given.keys() - spec.keys()), spec, otherwise)
    checked = {k: v for k, v in given.items() if k in spec}
    # Defaults may be templates, and what is required may come from the role's own variables.
    given_only = {
        name: {k: v for k, v in option.items() if k not in ("default", "required")}
        for name, option in spec.items()
    }
    result = validated(given_only, checked)
    errors += [f"{where}: {message}" for message in result.error_messages]
    well_typed = {k: v for k, v in checked.items() if not _blamed(k, result.error_messages)}
    errors += filter(None, (format_error(k, v) for k, v in well_typed.items()))
    return errors
