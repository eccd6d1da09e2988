# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters for Grafana."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.koprogo.observability.plugins.plugin_utils._grafana import (
    password_problem,
)


def grafana_password_problem(password: str) -> str:
    """See grafana_password_problem.yml."""
    return password_problem(str(password))


class FilterModule:
    """The collection's filters for Grafana."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map of filter names to functions."""
        return {"grafana_password_problem": grafana_password_problem}
