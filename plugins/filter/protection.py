# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the roles that ban."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.koprogo.observability.plugins.plugin_utils import (
    _allowlist,
    _protection,
)


def allowlist(
    entries: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], control: Iterable[str]
) -> list[str]:
    """See allowlist.yml."""
    try:
        return _allowlist.allowlist(entries, hostvars, control)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The collection's filters about bans."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map of filter names to functions."""
        return {
            "allowlist": allowlist,
            "local_connection": _protection.local_connection,
        }
