# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that say who is told what, judged before anything is built from them.

This file is private to the collection.
"""

from __future__ import annotations

import difflib
import re
import zoneinfo
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import (
    role_argument_spec,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._formats import (
    duration_seconds,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._options import validated

__all__ = [
    "CHANNELS",
    "DAYS",
    "SEVERITIES",
    "complete_options",
    "notification_errors",
    "severity_error",
]

#: From the most severe on. Watchdog has none.
SEVERITIES = ("critical", "warning", "info")

#: What reaches a person.
CHANNELS = ("pagerduty", "slack", "sms")

_GIVEN = (*CHANNELS, "heartbeat", "office_hours")
_INTERVALS = ("group_wait", "group_interval", "repeat_interval", "warning_repeat_interval")
#: Alertmanager's week begins on Sunday.
DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|\.\.\.")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]+")
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]+")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00")

Options = Mapping[str, Any]
Errors = Iterator[str]


def _validated(options: Options) -> tuple[dict[str, Any], list[str]]:
    given = {f"alertmanager_{name}": options[name] for name in _GIVEN if options.get(name)}
    spec = role_argument_spec("alertmanager")
    result = validated({name: spec[name] for name in given}, given)
    complete = {
        name: result.validated_parameters.get(f"alertmanager_{name}") or {} for name in _GIVEN
    }
    return complete, [f"role alertmanager: {message}" for message in result.error_messages]


def complete_options(options: Options) -> dict[str, Any]:
    """The options of each channel with their defaults; an empty dictionary for one that isn't wanted.

    options: C(alertmanager_*) without the prefix.
    """
    return _validated(options)[0]


def severity_error(found: str) -> str:
    """What is wrong with a severity that a route asks for, or an empty string.

    Rules of one's own may have severities of their own: only what looks like a slip is one.
    """
    near = difflib.get_close_matches(found.lower(), SEVERITIES, n=1, cutoff=0.6)
    if found in SEVERITIES or not near:
        return ""
    return f"expected a severity such as {', '.join(SEVERITIES)}, found '{found}'; did you mean {near[0]}?"


def _duration(where: str, value: Any) -> Errors:
    try:
        seconds = duration_seconds(str(value))
    except ValueError:
        seconds = 0
    if seconds <= 0:
        yield f"alertmanager_{where}: expected a duration longer than zero such as 30s or 4h, found '{value}'"


def _secret(where: str, value: Any) -> Errors:
    text = str(value or "")
    if not text.strip():
        yield f"alertmanager_{where}: expected a secret, found an empty value"
    elif re.search(r"\s", text.strip()):
        yield f"alertmanager_{where}: expected a secret without spaces, found some in it"


def _url(where: str, value: Any, *, secret: bool = False) -> Errors:
    text = str(value or "").strip()
    if secret and not text:
        yield f"alertmanager_{where}: expected a secret, found an empty value"
        return
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or re.search(r"\s", text):
        # A URL with a token in it is a secret, also where it is wrong.
        found = "something else" if secret else f"'{text}'"
        yield f"alertmanager_{where}: expected a URL such as https://example.org/path, found {found}"


def _severities(where: str, values: list[str]) -> Errors:
    if not values:
        yield f"alertmanager_{where}: expected at least one of {', '.join(SEVERITIES)}, found none"


def _pagerduty(options: Options) -> Errors:
    yield from _secret("pagerduty.routing_key", options["routing_key"])
    yield from _severities("pagerduty.severities", options["severities"])
    if options["url"]:
        yield from _url("pagerduty.url", options["url"])


def _slack(options: Options) -> Errors:
    yield from _url("slack.webhook_url", options["webhook_url"], secret=True)
    yield from _severities("slack.severities", options["severities"])
    channel = str(options["channel"])
    if not re.fullmatch(r"[#@]?\S+", channel):
        yield f"alertmanager_slack.channel: expected a channel such as #alerts, found '{channel}'"


def _matches(where: str, value: str, pattern: re.Pattern[str], example: str) -> Errors:
    if not pattern.fullmatch(value):
        yield f"alertmanager_{where}: expected {example}, found '{value}'"


def _sns(sns: Options) -> Errors:
    where = "sms.sns"
    numbers, topic = sns["phone_numbers"], sns["topic_arn"]
    yield from _matches(f"{where}.region", sns["region"], _REGION, "a region such as eu-west-1")
    if bool(numbers) == bool(topic):
        found = "both" if topic else "neither"
        yield f"alertmanager_{where}: expected either phone_numbers or topic_arn, found {found}"
    for number in numbers:
        example = "a number such as +32470123456"
        yield from _matches(f"{where}.phone_numbers", number, _PHONE, example)
    if topic:
        example = "an ARN such as arn:aws:sns:eu-west-1:123456789012:oncall"
        yield from _matches(f"{where}.topic_arn", topic, _TOPIC, example)
    if sns["access_key"]:
        yield from _secret(f"{where}.secret_key", sns["secret_key"])
    elif sns["secret_key"]:
        yield f"alertmanager_{where}.access_key: expected a value because secret_key has one, found nothing"
    if sns["api_url"]:
        yield from _url(f"{where}.api_url", sns["api_url"])


def _sms(options: Options) -> Errors:
    yield from _severities("sms.severities", options["severities"])
    sns, webhook = options["sns"], options["webhook"]
    if (sns is None) == (webhook is None):
        found = "neither" if sns is None else "both"
        yield f"alertmanager_sms: expected either sns or webhook, found {found}"
    if sns is not None:
        yield from _sns(sns)
    if webhook is not None:
        yield from _url("sms.webhook.url", webhook["url"], secret=True)
        if webhook["token"]:
            yield from _secret("sms.webhook.token", webhook["token"])
        if webhook["max_alerts"] < 1:
            yield (
                "alertmanager_sms.webhook.max_alerts: expected at least 1, "
                f"found '{webhook['max_alerts']}'"
            )


def _heartbeat(options: Options) -> Errors:
    yield from _url("heartbeat.url", options["url"], secret=True)
    yield from _duration("heartbeat.interval", options["interval"])


def _office_hours(options: Options) -> Errors:
    where = "office_hours"
    yield from _severities(f"{where}.severities", options["severities"])
    if not options["days"]:
        yield f"alertmanager_{where}.days: expected days such as monday:friday, found none"
    for days in options["days"]:
        named = days.lower().split(":")
        if len(named) > 2 or not set(named) <= set(DAYS):
            yield (
                f"alertmanager_{where}.days: expected a day or a range of days such as "
                f"monday:friday, found '{days}'"
            )
    times = [str(options[name]) for name in ("begin", "end")]
    for name, time in zip(("begin", "end"), times, strict=True):
        yield from _matches(f"{where}.{name}", time, _TIME, "a time such as 08:00")
    if all(_TIME.fullmatch(time) for time in times) and times[0] >= times[1]:
        yield f"alertmanager_{where}.end: expected a time after {times[0]}, found '{times[1]}'"
    zones = zoneinfo.available_timezones()
    if zones and options["location"] not in zones:
        yield (
            f"alertmanager_{where}.location: expected a time zone such as Europe/Brussels, "
            f"found '{options['location']}'"
        )


def _grouping(options: Options) -> Errors:
    labels = options.get("group_by") or []
    if not isinstance(labels, (list, tuple)):
        yield f"alertmanager_group_by: expected a list, found '{labels}'"
        labels = []
    for label in labels:
        yield from _matches("group_by", str(label), _LABEL, "a label's name or '...'")
    problems = [error for name in _INTERVALS for error in _duration(name, options[name])]
    yield from problems
    if problems:
        return
    group = options["group_interval"]
    for name in ("repeat_interval", "warning_repeat_interval"):
        if duration_seconds(str(options[name])) < duration_seconds(str(group)):
            yield (
                f"alertmanager_{name}: expected at least alertmanager_group_interval ({group}), "
                f"found '{options[name]}'"
            )


_CHECKS = {
    "pagerduty": _pagerduty,
    "slack": _slack,
    "sms": _sms,
    "heartbeat": _heartbeat,
    "office_hours": _office_hours,
}


def notification_errors(options: Options) -> list[str]:
    """One sentence for each mistake in the options; none of them shows a secret.

    options: C(alertmanager_*) without the prefix, given or by default.
    """
    complete, errors = _validated(options)
    if errors:
        return errors
    for name, check in _CHECKS.items():
        if complete[name]:
            errors += check(complete[name])
    return errors + list(_grouping(options))
