# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a notification, by what its service documents of its interface.

PagerDuty: Events API v2, https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
Slack: incoming webhooks and attachments, https://docs.slack.dev/messaging/
Amazon SNS: action Publish, https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
SMS gateway: Alertmanager's webhook, https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .sigv4 import signature_errors

__all__ = ["CHECKS", "Request"]

_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
# The basic characters of GSM 03.38 that are ASCII too: 160 of them are one message.
_GSM = re.compile(r"[A-Za-z0-9 @$_!\"#%&'()*+,\-./:;<=>?\n]*")
_SLACK_MARKUP = re.compile(
    r"<(https?://[^|<>\s]+(\|[^<>|]+)?|!date\^[0-9]+\^[^|<>]+\|[^|<>]+|[@#!][A-Za-z0-9^|_-]+)>"
)
_SLACK_KEYS = {
    "actions": list,
    "callback_id": str,
    "color": str,
    "fallback": str,
    "fields": list,
    "footer": str,
    "footer_icon": str,
    "image_url": str,
    "mrkdwn_in": list,
    "pretext": str,
    "text": str,
    "thumb_url": str,
    "title": str,
    "title_link": str,
    "ts": int,
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request, its headers by C(Title-Case) name, and the secret of AWS signatures if it is known."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    aws_secret: str = ""

    def json(self) -> Any:
        """The body; ValueError if it isn't JSON."""
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        """The body's fields."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


Errors = Iterator[str]


def _is_url(value: Any) -> bool:
    parts = urlsplit(str(value))
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _text(name: str, value: Any, most: int, least: int = 1) -> Errors:
    if not isinstance(value, str) or not least <= len(value) <= most:
        yield f"{name}: expected a text of {least} to {most} characters, found {value!r:.80}"


def _unknown(where: str, found: Mapping[str, Any], known: set[str]) -> Errors:
    for name in sorted(found.keys() - known):
        yield f"{where}: unknown field {name}"


def _links(event: Mapping[str, Any]) -> Errors:
    for number, link in enumerate(event.get("links") or []):
        yield from _unknown(f"links[{number}]", link, {"href", "text"})
        if not _is_url(link.get("href")):
            yield f"links[{number}].href: expected a URL, found {link.get('href')!r}"
    for number, image in enumerate(event.get("images") or []):
        if not str(image.get("src", "")).startswith("https://"):
            yield f"images[{number}].src: expected an https URL, found {image.get('src')!r}"


def pagerduty(request: Request) -> Errors:
    """An event of the Events API v2."""
    event = request.json()
    known = {"routing_key", "dedup_key", "event_action", "payload", "images", "links"}
    yield from _unknown("event", event, known | {"client", "client_url"})
    yield from _text("routing_key", event.get("routing_key"), 64)
    action = event.get("event_action")
    if action not in ("trigger", "acknowledge", "resolve"):
        yield f"event_action: expected trigger, acknowledge or resolve, found {action!r}"
    yield from _text("dedup_key", event.get("dedup_key"), 255)
    yield from _links(event)
    if event.get("client_url") and not _is_url(event["client_url"]):
        yield f"client_url: expected a URL, found {event['client_url']!r}"
    if len(request.body) > 512 * 1024:
        yield f"event: expected at most 512 KiB, found {len(request.body)}"
    payload = event.get("payload")
    if action != "trigger" and not payload:
        return
    optional = {"timestamp", "component", "group", "class", "custom_details"}
    yield from _unknown("payload", payload, optional | {"summary", "source", "severity"})
    yield from _text("payload.summary", payload.get("summary"), 1024)
    yield from _text("payload.source", payload.get("source"), 255)
    if payload.get("severity") not in ("critical", "error", "warning", "info"):
        yield f"payload.severity: expected one that PagerDuty has, found {payload.get('severity')!r}"
    if not isinstance(payload.get("custom_details", {}), dict):
        yield "payload.custom_details: expected an object"


def _slack_text(name: str, text: str) -> Errors:
    left = _SLACK_MARKUP.sub("", text)
    if "<" in left or ">" in left:
        yield f"{name}: expected < and > to be escaped outside of markup, found {left!r:.200}"
    if re.search(r"&(?!(amp|lt|gt);)", text):
        yield f"{name}: expected & to be escaped, found {text!r:.200}"


def _attachment(where: str, attachment: Mapping[str, Any]) -> Errors:
    yield from _unknown(where, attachment, set(_SLACK_KEYS))
    for key, value in attachment.items():
        if key in _SLACK_KEYS and not isinstance(value, _SLACK_KEYS[key]):
            yield f"{where}.{key}: expected {_SLACK_KEYS[key].__name__}, found {value!r:.80}"
    if not attachment.get("text") and not attachment.get("fallback"):
        yield f"{where}: expected a text or a fallback"
    for key in ("title", "fallback", "text"):
        yield from _slack_text(f"{where}.{key}", str(attachment.get(key, "")))
    if attachment.get("title_link") and not _is_url(attachment["title_link"]):
        yield f"{where}.title_link: expected a URL, found {attachment['title_link']!r}"
    color = str(attachment.get("color", "good"))
    if not re.fullmatch(r"good|warning|danger|#[0-9A-Fa-f]{6}", color):
        yield f"{where}.color: expected good, warning, danger or #rrggbb, found {color!r}"


def slack(request: Request) -> Errors:
    """A message for an incoming webhook."""
    message = request.json()
    if not any(message.get(key) for key in ("text", "blocks", "attachments")):
        yield "message: no_text"
    for number, attachment in enumerate(message.get("attachments") or []):
        yield from _attachment(f"attachments[{number}]", attachment)
    if len(message.get("attachments") or []) > 20:
        yield "attachments: expected at most 20"
    if len(request.body) > 40_000:
        yield f"message: expected at most 40000 bytes, found {len(request.body)}"


def sns(request: Request) -> Errors:
    """Action Publish of the query API, signed."""
    form = request.form()
    if form.get("Action") != "Publish" or form.get("Version") != "2010-03-31":
        yield f"Action: expected Publish of 2010-03-31, found {form.get('Action')!r}"
    targets = [name for name in ("TopicArn", "TargetArn", "PhoneNumber") if form.get(name)]
    if len(targets) != 1:
        yield f"target: expected one of TopicArn, TargetArn, PhoneNumber, found {targets}"
    if "PhoneNumber" in targets and not _PHONE.fullmatch(form["PhoneNumber"]):
        yield f"PhoneNumber: expected E.164, found {form['PhoneNumber']!r}"
    message = form.get("Message", "")
    yield from _text("Message", message, 160)
    if not _GSM.fullmatch(message):
        yield f"Message: expected characters that every phone has, found {message!r}"
    if "Subject" in form:
        yield from _text("Subject", form["Subject"], 100)
    yield from signature_errors(
        request.method, request.path, request.headers, request.body, secret=request.aws_secret
    )


def sms(request: Request) -> Errors:
    """Alertmanager's own webhook, as a gateway for text messages takes it."""
    message = request.json()
    if not re.fullmatch(r"Bearer \S+", request.headers.get("Authorization", "")):
        yield "Authorization: expected a bearer token"
    if message.get("version") != "4" or message.get("status") not in ("firing", "resolved"):
        yield f"message: expected version 4 with a status, found {message.get('version')!r}"
    for name in ("groupKey", "receiver", "externalURL"):
        yield from _text(name, message.get(name), 2000)
    alerts = message.get("alerts") or []
    if not 1 <= len(alerts) <= 5:
        yield f"alerts: expected 1 to 5, found {len(alerts)}"
    for number, alert in enumerate(alerts):
        yield from _text(f"alerts[{number}].summary", alert["annotations"].get("summary"), 2000)


def heartbeat(request: Request) -> Errors:
    """A call. Its body doesn't matter, but a service that is called says no to a large one."""
    if len(request.body) > 100_000:
        yield f"call: expected at most 100000 bytes, found {len(request.body)}"


def alertmanager(request: Request) -> Errors:
    """Alerts that a ruler posts to Alertmanager's API."""
    for number, alert in enumerate(request.json()):
        yield from _text(f"[{number}].labels.alertname", alert["labels"].get("alertname"), 200)


#: By the beginning of the path.
CHECKS = {
    "/pagerduty": pagerduty,
    "/slack": slack,
    "/sns": sns,
    "/sms": sms,
    "/heartbeat": heartbeat,
    "/api/v2/alerts": alertmanager,
}
