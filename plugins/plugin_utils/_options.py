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

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import (
    Component,
    role_argument_spec,
    setting,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._formats import format_error

__all__ = ["missing_errors", "option_errors"]


def _unknown(role: str, names: Iterable[str], known: Iterable[str]) -> list[str]:
    known = list(known)
    errors = []
    for name in names:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        hint = f"; did you mean {near[0]}?" if near else f"; role {role} has no such option"
        errors.append(f"{name}: unknown option{hint}")
    return errors


def _blamed(name: str, messages: Iterable[str]) -> bool:
    return any(name in message for message in messages)


def missing_errors(component: Component, variables: Mapping[str, Any]) -> list[str]:
    """One sentence for each option that the component can't do without and that is empty."""
    role = component.name
    errors = [
        f"{role}_{option}: expected a value, found nothing"
        for option in component.needs
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
    spec = role_argument_spec(role)
    given = {k: v for k, v in variables.items() if k.startswith(f"{role}_")}
    errors = _unknown(role, sorted(given.keys() - spec.keys()), spec)
    checked = {k: v for k, v in given.items() if k in spec}
    # Defaults may be templates, and what is required may come from the role's own variables.
    given_only = {
        name: {k: v for k, v in option.items() if k not in ("default", "required")}
        for name, option in spec.items()
    }
    result = ArgumentSpecValidator(given_only).validate(checked)
    errors += [f"role {role}: {message}" for message in result.error_messages]
    well_typed = {k: v for k, v in checked.items() if not _blamed(k, result.error_messages)}
    errors += filter(None, (format_error(k, v) for k, v in well_typed.items()))
    return errors
