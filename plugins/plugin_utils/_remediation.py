# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a remediation's playbook judges on the control node: its hosts, the fleet, and how it ended.

This file is private to the collection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["OUTCOMES", "fleet_problem", "limit_problem", "outcome_of"]

OUTCOMES = ("resolved", "not_resolved", "inconclusive", "refused", "predicted", "healthy")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def limit_problem(
    limit: str,
    *,
    known: Iterable[str],
    played: Iterable[str],
    members: Iterable[str],
    group: str,
    maximum: int,
) -> str:
    """Return why a run's hosts are refused, empty if they are not.

    ``limit`` is what was given by C(--limit), ``known`` the inventory's hosts, ``played`` those of the
    play, ``members`` those of the group that the alert is about. A pattern, a group's name, an exclusion
    or a file is no host's name, so nothing but exact names gets through; and the play must have exactly
    these hosts, wherever the limit came from.
    """
    if not limit.strip():
        return "expected --limit with the alert's host, found none: without it all hosts would be touched."
    names = [name.strip() for name in limit.split(",")]
    hosts = set(known)
    for name in names:
        if not _NAME.fullmatch(name) or name not in hosts:
            return (
                f"--limit: expected names of the inventory's hosts, found '{name}'. Groups, patterns and "
                "exclusions are refused."
            )
    if set(played) != set(names):
        return (
            f"expected a play on {', '.join(sorted(set(names)))} alone, found "
            f"{', '.join(sorted(set(played)))}. Give the hosts with --limit, not with a variable."
        )
    if len(set(names)) > maximum:
        return (
            f"expected at most {maximum} hosts in one run, found {len(set(names))}. "
            "Raise koprogo_remediation_max_hosts if that is meant."
        )
    if strangers := sorted(set(names) - set(members)):
        return f"expected hosts of the group {group}, found {strangers[0]}."
    return ""


def fleet_problem(
    firing: Iterable[str], *, members: Sequence[str], share: float, group: str
) -> str:
    """Return why no host of a group is to be touched: too many of them have the alert at once.

    That means a shared cause, or a monitoring that is wrong; a group of one or two cannot tell.
    """
    sick = sorted(set(firing) & set(members))
    if len(members) < 3 or len(sick) < 2 or len(sick) / len(members) <= share:
        return ""
    return (
        f"{len(sick)} of {len(members)} hosts of the group {group} have this alert at once "
        f"({', '.join(sick[:5])}): a shared cause, or a monitoring that is wrong. None is touched."
    )


def outcome_of(
    acts: Sequence[Mapping[str, Any]], *, alert: str, check: bool
) -> dict[str, str]:
    """Return how a run ended on a host, as C(outcome) and C(reason).

    ``acts`` are the results of the modules that act. ``alert`` is C(gone), C(firing), C(unknown), or
    C(unasked) where no Prometheus is known. Nothing is resolved while the alert still fires.
    """
    if refused := [act for act in acts if act.get("refused")]:
        reason = str(refused[0].get("reason") or refused[0].get("msg") or "")
        return {"outcome": "refused", "reason": reason}
    if failed := [act for act in acts if act.get("outcome") not in (None, "", "resolved")]:
        return {"outcome": "not_resolved", "reason": str(failed[0].get("msg", ""))}
    if broken := [act for act in acts if act.get("msg") and not act.get("outcome") and not act.get("changed")]:
        return {"outcome": "inconclusive", "reason": str(broken[0]["msg"])}
    changed = any(act.get("changed") for act in acts)
    if check:
        what = "a real run would act" if changed else "a real run would find nothing to do"
        return {"outcome": "predicted", "reason": what}
    if alert == "firing":
        what = "it acted, and the alert still fires" if changed else "nothing to do was found, and the alert fires"
        return {"outcome": "not_resolved", "reason": what}
    if alert == "unknown":
        return {"outcome": "inconclusive", "reason": "Prometheus does not say whether the alert is gone"}
    if not changed:
        return {"outcome": "healthy", "reason": "nothing to do was found"}
    said = "the alert is gone" if alert == "gone" else "the host is well; Prometheus was not asked"
    return {"outcome": "resolved", "reason": said}
