# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters that judge a remediation's hosts, the fleet, and how the run ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

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


def remediation_outcome(
    acts: Sequence[Mapping[str, Any]], *, alert: str, check: bool, unknown: str = ""
) -> dict[str, str]:
    """See remediation_outcome.yml."""
    return _remediation.outcome_of(acts, alert=alert, check=check, unknown=unknown)


class FilterModule:
    """The collection's filters for remediations."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map of filter names to functions."""
        return {
            "remediation_fleet_problem": remediation_fleet_problem,
            "remediation_limit_problem": remediation_limit_problem,
            "remediation_outcome": remediation_outcome,
        }
