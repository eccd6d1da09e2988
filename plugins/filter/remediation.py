# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters that judge a remediation's hosts, the fleet, and how the run ended, and say how to start it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible import constants

from ansible_collections.koprogo.observability.plugins.plugin_utils import _remediation


def remediation_limit_problem(
    limit: object,
    *,
    known: Iterable[str],
    played: Iterable[str],
    members: Iterable[str],
    group: str,
    maximum: int,
) -> str:
    """See remediation_limit_problem.yml."""
    return _remediation.limit_problem(
        str(limit or ""),
        known=known,
        played=played,
        members=members,
        group=group,
        maximum=int(maximum),
    )


def remediation_fleet_problem(
    firing: Iterable[str],
    *,
    members: Sequence[str],
    share: float,
    group: str,
    unknown: str = "",
    hosts: int = 1,
    automatic: bool = False,
) -> str:
    """See remediation_fleet_problem.yml."""
    return _remediation.fleet_problem(
        firing,
        members=members,
        share=float(share),
        group=group,
        unknown=unknown,
        hosts=int(hosts),
        automatic=automatic,
    )


def remediation_mount_points(
    alerts: Iterable[Mapping[str, Any]], *, firing: bool = False
) -> list[str]:
    """See remediation_mount_points.yml."""
    return _remediation.mount_points(alerts, firing=firing)


def remediation_outcome(
    acts: Sequence[Mapping[str, Any]],
    *,
    alert: str,
    check: bool,
    unknown: str = "",
    elsewhere: Sequence[str] = (),
) -> dict[str, str]:
    """See remediation_outcome.yml."""
    return _remediation.outcome_of(
        acts, alert=alert, check=check, unknown=unknown, elsewhere=elsewhere
    )


def remediation_inventory(sources: Sequence[str], *, inventory: str = "") -> str:
    """See remediation_inventory.yml."""
    usual, origin = constants.config.get_config_value_and_origin("DEFAULT_HOST_LIST")
    return _remediation.inventory_flags(
        [inventory] if inventory else sources,
        project=str(Path(constants.CONFIG_FILE).parent) if constants.CONFIG_FILE else "",
        # Another shell may lack a variable of the environment.
        usual=[] if str(origin).startswith("env:") else usual,
    )


class FilterModule:
    """The collection's filters for remediations."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map of filter names to functions."""
        return {
            "remediation_fleet_problem": remediation_fleet_problem,
            "remediation_inventory": remediation_inventory,
            "remediation_limit_problem": remediation_limit_problem,
            "remediation_mount_points": remediation_mount_points,
            "remediation_outcome": remediation_outcome,
        }
