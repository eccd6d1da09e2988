# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a remediation's playbook judges on the control node: its hosts, the fleet, and how it ended; and how
the one on call starts it.

This file is private to the collection.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "OUTCOMES",
    "fleet_problem",
    "inventory_flags",
    "limit_problem",
    "mount_points",
    "outcome_of",
]

OUTCOMES = ("resolved", "not_resolved", "inconclusive", "refused", "predicted", "healthy")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def inventory_flags(sources: Sequence[str], *, project: str, usual: Sequence[str]) -> str:
    """The flags that give C(ansible-playbook) these inventories in a shell in the project's folder.

    sources: paths, or lists of hosts. usual: the inventories that it takes there without a flag, for
    which the answer is empty.
    """
    if list(sources) == list(usual):
        return ""
    flags = []
    for source in sources:
        path = Path(source)
        inside = project and path.is_relative_to(project)
        flags.append(f"-i {shlex.quote(str(path.relative_to(project)) if inside else source)}")
    return " ".join(flags)


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
    firing: Iterable[str],
    *,
    members: Sequence[str],
    share: float,
    group: str,
    unknown: str = "",
    hosts: int = 1,
    automatic: bool = False,
) -> str:
    """Return why no host of a group is to be touched: too many of them have the alert at once.

    That means a shared cause, or a monitoring that is wrong; a group of one or two cannot tell.
    ``unknown`` is why nobody knows who has it; then only a human may act, and on one host: C(hosts)
    is how many the run has.
    """
    if unknown and (automatic or hosts > 1):
        run = "an automatic run" if automatic else f"a run on {hosts} hosts"
        return (
            f"{unknown}: nobody knows which hosts of the group {group} have this alert, and {run} "
            "could meet all of them. A human may go on with one host."
        )
    sick = sorted(set(firing) & set(members))
    if len(members) < 3 or len(sick) < 2 or len(sick) / len(members) <= share:
        return ""
    return (
        f"{len(sick)} of {len(members)} hosts of the group {group} have this alert at once "
        f"({', '.join(sick[:5])}): a shared cause, or a monitoring that is wrong. None is touched."
    )


def mount_points(alerts: Iterable[Mapping[str, Any]], *, firing: bool = False) -> list[str]:
    """Return the mount points that alerts are about, each once, the one that needs help most first.

    That is one which fires, then one with the least left; one whose share is not known comes last.
    """
    rows = sorted(
        (row["alertstate"] != "firing", row.get("value", 1.0), row["mountpoint"])
        for row in alerts
        if "mountpoint" in row and (not firing or row["alertstate"] == "firing")
    )
    return list(dict.fromkeys(mount for _pending, _left, mount in rows))


def outcome_of(
    acts: Sequence[Mapping[str, Any]],
    *,
    alert: str,
    check: bool,
    unknown: str = "",
    elsewhere: Sequence[str] = (),
) -> dict[str, str]:
    """Return how a run ended on a host, as C(outcome) and C(reason).

    ``acts`` are the results of the modules that act. ``alert`` is C(gone), C(firing), C(unknown), or
    C(unasked) where no Prometheus is known. Nothing is resolved while the alert still fires.
    ``unknown`` is why it is unknown. ``elsewhere`` are mount points for which the alert fires and the run
    did nothing: it is told whatever came of the rest, which is not resolved as long as they fire.
    """
    verdict = _ended(acts, alert=alert, check=check, unknown=unknown)
    if elsewhere:
        if verdict["outcome"] in ("resolved", "healthy"):
            verdict["outcome"] = "not_resolved"
        verdict["reason"] = (
            f"{verdict['reason'].removesuffix('.')}. The alert fires for {', '.join(elsewhere)} too, which "
            "this run left alone: run it again, or name one as remediation_disk_path."
        )
    return verdict


def _ended(
    acts: Sequence[Mapping[str, Any]], *, alert: str, check: bool, unknown: str
) -> dict[str, str]:
    """Return how the act ended, by its own results and by what the alert says."""
    for act in acts:
        if ended := _failure(act, check=check):
            return ended
    changed = any(act.get("changed") for act in acts)
    if check:
        what = "a real run would act" if changed else "a real run would find nothing to do"
        return {"outcome": "predicted", "reason": what}
    did = "it acted" if changed else "nothing to do was found"
    outcome, reason = {
        "firing": ("not_resolved", f"{did}, and the alert still fires"),
        "unknown": (
            "inconclusive",
            f"{did}, and Prometheus does not say whether the alert is gone"
            + (f": {unknown}" if unknown else ""),
        ),
        "gone": ("resolved" if changed else "healthy", f"{did}, and the alert is gone"),
        "unasked": ("resolved" if changed else "healthy", f"{did}; Prometheus was not asked"),
    }[alert]
    return {"outcome": outcome, "reason": reason}


def _failure(act: Mapping[str, Any], *, check: bool) -> dict[str, str]:
    """Return how an act failed by its own result, nothing if it did not."""
    said = str(act.get("reason") or act.get("msg") or "")
    own = act.get("outcome") or ""
    if act.get("refused"):
        return {"outcome": "refused", "reason": said}
    if act.get("unreachable"):
        return {
            "outcome": "inconclusive",
            "reason": f"the host was lost while it was helped: {said}",
        }
    if own not in ("", "resolved"):
        return {"outcome": "not_resolved", "reason": said}
    if said and not own and not act.get("changed"):
        return {"outcome": "inconclusive", "reason": said}
    if act.get("target_reached") is False and not check:
        # Skipped is another matter: there was nothing of its kind.
        undone = "; ".join(
            f"policy {row['policy']} was {row['status']} ({row['reason']})"
            for row in act.get("policies") or ()
            if row["status"] in ("refused", "failed")
        )
        did = f"not all that may go went: {undone};" if undone else "all that may go went, and"
        return {"outcome": "not_resolved", "reason": f"{did} the target is not reached"}
    return {}
