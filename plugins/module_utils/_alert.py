# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Whether an alert is resolved, as Prometheus sees it, and whether what it sees can be believed.

No alert is no proof: it is also what a Prometheus without data shows. So the rule has to exist and to be
evaluated, and the host's targets have to be scraped and up.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    ProbeError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._numbers import DAY, within
from ansible_collections.koprogo.observability.plugins.module_utils._stack_api import Api

__all__ = ["Alert", "Sight", "await_resolved", "firing_hosts", "look"]

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_UNUSABLE = (KeyError, TypeError, ValueError, IndexError, AttributeError)


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An alert of one host. C(max_age) in seconds; C(jobs) are the targets that it depends on."""

    name: str
    host: str
    jobs: tuple[str, ...] = ()
    max_age: float = 120.0

    def check(self) -> Alert:
        """InputError for names that no query could hold."""
        if not _NAME.fullmatch(self.name):
            raise InputError(f"alert: expected an alert's name, found '{self.name}'.")
        if not self.host.strip():
            raise InputError("host: expected the alert's host label, found none.")
        within("max_age", self.max_age, 1, DAY)
        return self


@dataclass(kw_only=True)
class Sight:
    """One look. C(state): C(firing), C(pending), C(inactive) or C(unknown), and why that."""

    state: str
    reason: str = ""
    alerts: list[dict[str, Any]] = field(default_factory=list)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def look(api: Api, alert: Alert, *, now: Callable[[], float] = time.time) -> Sight:
    """Ask once. Whatever is odd makes the state unknown."""
    try:
        rules = _rules(api, alert)
        reason = _rule_problem(rules, alert, now()) or _data_problem(api, alert)
        labels = f"alertname={_quoted(alert.name)},host={_quoted(alert.host)}"
        rows = api.data("/api/v1/query", query=f"ALERTS{{{labels}}}")["result"]
        values = _values(rules)
        found = [row["metric"] | values.get(_labels(row["metric"]), {}) for row in rows]
        states = {row["alertstate"] for row in found}
    except ProbeError as error:
        return Sight(state="unknown", reason=error.message)
    except _UNUSABLE as error:
        return Sight(state="unknown", reason=f"{api.url} answered in an unknown form: {error!r}")
    # That it fires is believed of stale data too: it only must never look resolved.
    if "firing" in states:
        return Sight(state="firing", alerts=found)
    if reason:
        return Sight(state="unknown", reason=reason, alerts=found)
    return Sight(state="pending" if states else "inactive", alerts=found)


def firing_hosts(
    api: Api, alert: Alert, *, now: Callable[[], float] = time.time
) -> tuple[list[str], str]:
    """Hosts on which the alert fires, its own or another; and why that isn't known, empty if it is."""
    try:
        reason = _rule_problem(_rules(api, alert), alert, now())
        query = f'ALERTS{{alertname={_quoted(alert.name)},alertstate="firing"}}'
        rows = api.data("/api/v1/query", query=query)["result"]
        return sorted({row["metric"].get("host", "") for row in rows} - {""}), reason
    except ProbeError as error:
        return [], error.message
    except _UNUSABLE as error:
        return [], f"{api.url} answered in an unknown form: {error!r}"


def _rules(api: Api, alert: Alert) -> list[dict[str, Any]]:
    groups = api.data("/api/v1/rules", type="alert")["groups"]
    return [rule for group in groups for rule in group["rules"] if rule["name"] == alert.name]


def _labels(series: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """An alert's own labels, of its series ALERTS."""
    return frozenset(
        (name, value) for name, value in series.items() if name not in ("__name__", "alertstate")
    )


def _values(
    rules: Sequence[Mapping[str, Any]],
) -> dict[frozenset[tuple[str, str]], dict[str, float]]:
    """What the rules measured, by the alerts' labels; the series ALERTS doesn't tell."""
    return {
        _labels(alert["labels"]): {"value": float(alert["value"])}
        for rule in rules
        for alert in rule.get("alerts") or ()
        # JSON has no other numbers.
        if math.isfinite(float(alert["value"]))
    }


def _rule_problem(rules: Sequence[Mapping[str, Any]], alert: Alert, now: float) -> str:
    if not rules:
        return f"Prometheus has no rule {alert.name}"
    for rule in rules:
        if rule["health"] != "ok":
            return f"the rule {alert.name} is {rule['health']}: {rule.get('lastError', '')}"
        age = now - _unix(rule["lastEvaluation"])
        if age > alert.max_age:
            return f"the rule {alert.name} was last evaluated {age:.0f} s ago"
    return ""


def _unix(text: str) -> float:
    # Nanoseconds, which datetime doesn't read.
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).timestamp()


def _data_problem(api: Api, alert: Alert) -> str:
    selector = f"up{{host={_quoted(alert.host)}}}"
    values = api.data("/api/v1/query", query=selector)["result"]
    ages = api.data("/api/v1/query", query=f"time() - timestamp({selector})")["result"]
    up: dict[str, float] = {}
    for row in values:
        job = row["metric"].get("job", "")
        up[job] = min(up.get(job, 1.0), float(row["value"][1]))
    wanted = set(alert.jobs) or set(up)
    if not wanted:
        return f"Prometheus has no target of host {alert.host}"
    if missing := sorted(wanted - set(up)):
        return f"Prometheus has no target {missing[0]} of host {alert.host}"
    if down := sorted(job for job in wanted if up[job] != 1):
        return f"target {down[0]} of host {alert.host} is down"
    for row in ages:
        job, age = row["metric"].get("job", ""), float(row["value"][1])
        if job in wanted and not age <= alert.max_age:
            return f"the last sample of {job} of host {alert.host} is {age:.0f} s old"
    return ""


def await_resolved(
    api: Api,
    alert: Alert,
    *,
    hold: float,
    timeout: float,
    interval: float = 5.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """Wait until the alert was inactive for ``hold`` seconds without a break; all in seconds.

    C(resolved) only if every look of the hold time saw it inactive. An unknown state breaks the hold.
    """
    within("hold", hold, 0, DAY)
    within("timeout", timeout, 0, DAY)
    within("interval", interval, 0.1, 3600)
    begun, since, looks = clock(), None, 0
    history: list[dict[str, Any]] = []
    while True:
        sight = look(api, alert, now=now)
        looks += 1
        at = clock() - begun
        if not history or history[-1]["state"] != sight.state:
            history.append({"after": round(at, 1), "state": sight.state, "reason": sight.reason})
        if sight.state != "inactive":
            since = None
        elif since is None:
            since = at
        held = at - since if since is not None else 0.0
        if since is not None and held >= hold:
            return _told("resolved", sight, history, held=held, seconds=at, looks=looks)
        if at >= timeout:
            known = sight.state in ("firing", "pending")
            # Inactive, but not for long enough: nobody knows yet.
            outcome = "not_resolved" if known else "inconclusive"
            return _told(outcome, sight, history, held=held, seconds=at, looks=looks)
        sleep(min(interval, max(0.0, timeout - at)) or interval)


def _told(
    outcome: str,
    sight: Sight,
    history: Sequence[dict[str, Any]],
    *,
    held: float,
    seconds: float,
    looks: int,
) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "alert_state": sight.state,
        "reason": sight.reason,
        "held": round(held, 1),
        "seconds": round(seconds, 1),
        "looks": looks,
        "alerts": sight.alerts,
        "history": list(history)[-50:],
    }
