# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From who is to be told what to Alertmanager's routing tree, receivers and secrets.

One receiver for each severity, so that a group of alerts is told once on every channel that wants
that severity, and one for the dead man's switch.

This file is private to the collection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.koprogo.observability.plugins.plugin_utils._formats import (
    duration_seconds,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._inhibition import (
    inhibit_rules,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._notification_options import (
    CHANNELS,
    DAYS,
    SEVERITIES,
    complete_options,
)

__all__ = ["OPTIONS", "Notifications", "build", "reaches_nobody"]

#: Names of the options that the configuration is made from, without C(alertmanager_).
OPTIONS = (
    *CHANNELS,
    "heartbeat",
    "office_hours",
    "group_by",
    "group_wait",
    "group_interval",
    "repeat_interval",
    "warning_repeat_interval",
    "inhibition",
    "routes",
    "global",
    "route",
    "receivers",
    "inhibit_rules",
    "time_intervals",
    "secrets",
    "config",
)

_NOWHERE = "nowhere"
_HEARTBEAT = "heartbeat"
_OFFICE_HOURS = "office-hours"

Options = Mapping[str, Any]
Section = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Notifications:
    """What Alertmanager needs: sections, files of secrets by name, variables of its environment.

    masks: texts that no message and no difference may show.
    """

    config: Section
    secrets: dict[str, str]
    environment: dict[str, str]
    masks: list[str]


def _template(name: str) -> str:
    return f'{{{{ template "koprogo.{name}" . }}}}'


def _pagerduty(options: Options) -> Section:
    details = ("what", "value", "since", "fix", "firing", "resolved")
    links = ("dashboard", "logs", "runbook")
    return {
        "routing_key_file": "secrets/pagerduty_routing_key",
        **({"url": options["url"]} if options["url"] else {}),
        "send_resolved": options["send_resolved"],
        "description": _template("pagerduty.summary"),
        "severity": _template("pagerduty.severity"),
        "class": _template("pagerduty.class"),
        "component": _template("pagerduty.component"),
        "group": _template("pagerduty.group"),
        "client": _template("pagerduty.source"),
        "client_url": "{{ .ExternalURL }}",
        "details": {name: _template(f"pagerduty.{name}") for name in details},
        "links": [
            {"href": _template(f"pagerduty.{name}"), "text": name.capitalize()} for name in links
        ],
    }


def _slack(options: Options) -> Section:
    return {
        "api_url_file": "secrets/slack_webhook_url",
        "channel": options["channel"],
        "send_resolved": options["send_resolved"],
        "color": _template("slack.color"),
        "title": _template("slack.title"),
        "title_link": _template("slack.title_link"),
        "fallback": _template("slack.fallback"),
        "text": _template("slack.text"),
        "footer": "",
        "mrkdwn_in": ["text"],
    }


def _sns(options: Options) -> list[Section]:
    sns = options["sns"]
    common: Section = {
        **({"api_url": sns["api_url"]} if sns["api_url"] else {}),
        "sigv4": {"region": sns["region"]},
        "send_resolved": options["send_resolved"],
        "subject": "",
        "message": _template("sms"),
        "attributes": {"AWS.SNS.SMS.SMSType": "Transactional"},
    }
    if sns["topic_arn"]:
        return [{"topic_arn": sns["topic_arn"], **common}]
    return [{"phone_number": number, **common} for number in sns["phone_numbers"]]


def _address(name: str, value: str, url_files: bool) -> Section:
    return {"url_file": f"secrets/{name}"} if url_files else {"url": value}


def _sms_webhook(options: Options, http: Options, url_files: bool) -> Section:
    webhook = options["webhook"]
    hook: Section = {
        **_address("sms_url", webhook["url"], url_files),
        "send_resolved": options["send_resolved"],
        "max_alerts": webhook["max_alerts"],
    }
    if webhook["token"]:
        # A receiver's http_config replaces the global one as a whole.
        authorization = {"credentials_file": "secrets/sms_token"}
        hook["http_config"] = {**http, "authorization": authorization}
    return hook


def _channels(severity: str, wanted: Options, http: Options, url_files: bool) -> Section:
    """The receiver of a severity without its name; empty if nobody wants it."""
    asked = {name for name in CHANNELS if wanted[name] and severity in wanted[name]["severities"]}
    receiver: Section = {}
    if "pagerduty" in asked:
        receiver["pagerduty_configs"] = [_pagerduty(wanted["pagerduty"])]
    if "slack" in asked:
        receiver["slack_configs"] = [_slack(wanted["slack"])]
    if "sms" in asked and wanted["sms"]["sns"] is not None:
        receiver["sns_configs"] = _sns(wanted["sms"])
    elif "sms" in asked:
        receiver["webhook_configs"] = [_sms_webhook(wanted["sms"], http, url_files)]
    return receiver


def _receivers(wanted: Options, http: Options, url_files: bool) -> list[Section]:
    channels = {name: _channels(name, wanted, http, url_files) for name in SEVERITIES}
    receivers: list[Section] = [{"name": _NOWHERE}]
    receivers += [{"name": name, **found} for name, found in channels.items() if found]
    if wanted["heartbeat"]:
        # No call must say that the Watchdog has ended: the missing calls say it.
        hook = _address("heartbeat_url", wanted["heartbeat"]["url"], url_files)
        webhook = {**hook, "send_resolved": False, "max_alerts": 1}
        receivers.append({"name": _HEARTBEAT, "webhook_configs": [webhook]})
    return receivers


def _watchdog_route(wanted: Options) -> Section:
    route: Section = {"matchers": ['alertname="Watchdog"'], "receiver": _NOWHERE}
    if wanted["heartbeat"]:
        interval = str(wanted["heartbeat"]["interval"])
        # A notification is due when the repeat interval is over at the group's tick: with equal ones
        # it is a moment too early each time, and every second call is missing.
        half = max(int(duration_seconds(interval) / 2), 1)
        route |= {
            "receiver": _HEARTBEAT,
            "group_wait": "0s",
            "group_interval": interval,
            "repeat_interval": f"{half}s",
        }
    return route


def _severity_route(severity: str, known: set[str], wanted: Options, options: Options) -> Section:
    route: Section = {
        "matchers": [f'severity="{severity}"'],
        "receiver": severity if severity in known else _NOWHERE,
    }
    if severity not in known:
        return route
    if severity != "critical":
        route["repeat_interval"] = options["warning_repeat_interval"]
    if severity in (wanted["office_hours"].get("severities") or []):
        route["active_time_intervals"] = [_OFFICE_HOURS]
    return route


def _route(wanted: Options, known: set[str], options: Options) -> Section:
    # What has no severity that we know is told like a warning, or else on whatever there is.
    default = next((name for name in ("warning", "critical", "info") if name in known), _NOWHERE)
    root: Section = {
        "receiver": default,
        **{name: options[name] for name in ("group_by", "group_wait", "group_interval")},
        "repeat_interval": options["repeat_interval"],
    }
    own = list(options["routes"])
    if known == {_NOWHERE} and not own:
        return root
    severities = [_severity_route(name, known, wanted, options) for name in SEVERITIES]
    return {**root, "routes": [_watchdog_route(wanted), *own, *severities]}


def _weekdays(days: str) -> list[str]:
    """A range of days within Alertmanager's week, or two if it goes beyond Saturday."""
    begin, _colon, end = days.lower().partition(":")
    if end and DAYS.index(begin) > DAYS.index(end):
        return [f"{begin}:{DAYS[-1]}", f"{DAYS[0]}:{end}"]
    return [days.lower()]


def _time_intervals(wanted: Options) -> list[Section]:
    hours = wanted["office_hours"]
    if not hours:
        return []
    interval = {
        "weekdays": [part for days in hours["days"] for part in _weekdays(days)],
        "times": [{"start_time": hours["begin"], "end_time": hours["end"]}],
        "location": hours["location"],
    }
    return [{"name": _OFFICE_HOURS, "time_intervals": [interval]}]


def _with_own(built: Iterable[Section], own: Iterable[Section]) -> list[Section]:
    """One's own entries, in their places, and those that we built; of two with the same name one's own."""
    mine = list(own)
    names = {entry.get("name") for entry in mine if isinstance(entry, Mapping)}
    return mine + [entry for entry in built if entry["name"] not in names]


def _secrets(wanted: Options) -> tuple[dict[str, str], list[str]]:
    """Files of secrets, name to content, and the single secrets in them."""
    sms = wanted["sms"]
    sns, webhook = sms.get("sns") or {}, sms.get("webhook") or {}
    plain = {
        "pagerduty_routing_key": wanted["pagerduty"].get("routing_key"),
        "slack_webhook_url": wanted["slack"].get("webhook_url"),
        "sms_url": webhook.get("url"),
        "sms_token": webhook.get("token"),
        "heartbeat_url": wanted["heartbeat"].get("url"),
    }
    files = {name: str(value).strip() for name, value in plain.items() if value}
    masks = list(files.values())
    if sns.get("access_key"):
        key, secret = sns["access_key"].strip(), sns["secret_key"].strip()
        files["aws_credentials"] = (
            f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
        )
        masks += [key, secret]
    return files, masks


def build(options: Options, *, url_files: bool) -> Notifications:
    """Everything that the options ask for.

    options: OPTIONS, each given or by default, without mistakes. url_files: whether the version
    reads a webhook's URL from a file, as those from 0.26 on do.
    """
    wanted = complete_options(options)
    http = (options["global"] or {}).get("http_config") or {}
    receivers = _receivers(wanted, http, url_files)
    known = {receiver["name"] for receiver in receivers}
    files, masks = _secrets(wanted)
    inhibit = inhibit_rules() if options["inhibition"] else []
    secrets = {**files, **options["secrets"]}
    environment = {}
    if "aws_credentials" in files:
        environment["AWS_SHARED_CREDENTIALS_FILE"] = "secrets/aws_credentials"
    return Notifications(
        config={
            "global": options["global"],
            "route": options["route"] or _route(wanted, known, options),
            "receivers": _with_own(receivers, options["receivers"]),
            "inhibit_rules": inhibit + list(options["inhibit_rules"]),
            "time_intervals": _with_own(_time_intervals(wanted), options["time_intervals"]),
            "templates": ["templates/*.tmpl"],
            **(options["config"] or {}),
        },
        secrets=secrets,
        environment=environment,
        masks=[*masks, *(str(value) for value in options["secrets"].values())],
    )


def _reached(route: Mapping[str, Any]) -> set[str]:
    names = {str(route["receiver"])} if "receiver" in route else set()
    return names.union(*(_reached(child) for child in route.get("routes") or []))


def reaches_nobody(config: Mapping[str, Any]) -> bool:
    """Whether every alert is accepted and told to nobody; a dead man's switch alone tells nobody."""
    reached = _reached(config.get("route") or {}) - {_HEARTBEAT}
    return not any(
        str(key).endswith("_configs") and value
        for receiver in config.get("receivers") or []
        if receiver["name"] in reached
        for key, value in receiver.items()
    )
