# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's receivers refuse what the real services would refuse."""

from __future__ import annotations

import copy
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from lab.receivers.checks import CHECKS, Request

EVENT: dict[str, Any] = {
    "routing_key": "k" * 32,
    "dedup_key": "d",
    "event_action": "trigger",
    "client": "c",
    "client_url": "https://example.org",
    "links": [{"href": "https://example.org", "text": "Runbook"}],
    "payload": {"summary": "s", "source": "api1", "severity": "critical", "custom_details": {}},
}
MESSAGE: dict[str, Any] = {
    "channel": "#alerts",
    "attachments": [
        {
            "title": "CRITICAL",
            "title_link": "https://example.org?a=1&b=2",
            "text": "a &lt; b <https://example.org|Runbook> <!date^1^{time}|12:00>",
            "color": "danger",
            "mrkdwn_in": ["text"],
        }
    ],
}
HOOK: dict[str, Any] = {
    "version": "4",
    "status": "firing",
    "groupKey": "g",
    "receiver": "critical",
    "externalURL": "http://am",
    "alerts": [{"annotations": {"summary": "s"}}],
}
# Well formed; a signature that is right is made by the real Alertmanager, in scenario alertmanager.
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=AKID/20261122/eu-west-1/sns/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64,
    "X-Amz-Date": "20261122T185242Z",
    "Host": "127.0.0.1:18080",
}
PUBLISH = {
    "Action": "Publish",
    "Version": "2010-03-31",
    "PhoneNumber": "+32470123456",
    "Message": "CRITICAL ApiDown",
}


def errors(
    path: str, body: Any, headers: dict[str, str] | None = None, secret: str = ""
) -> list[str]:
    data = urlencode(body) if path == "/sns" else json.dumps(body)
    request = Request(
        method="POST", path=path, headers=headers or {}, body=data.encode(), aws_secret=secret
    )
    return list(CHECKS[path](request))


def changed(body: dict[str, Any], *path: Any, to: Any) -> dict[str, Any]:
    copied = copy.deepcopy(body)
    place: Any = copied
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return copied


def test_what_the_services_take_passes() -> None:
    assert errors("/pagerduty", EVENT) == []
    assert errors("/slack", MESSAGE) == []
    assert errors("/sns", PUBLISH, SIGNED) == []
    assert errors("/sms", HOOK, {"Authorization": "Bearer t"}) == []
    assert errors("/heartbeat", {}) == []
    assert errors("/api/v2/alerts", [{"labels": {"alertname": "A"}}]) == []


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        (("routing_key",), "", "routing_key"),
        (("event_action",), "fire", "event_action"),
        (("dedup_key",), "d" * 256, "dedup_key"),
        (("payload", "summary"), "s" * 1025, "payload.summary"),
        (("payload", "source"), "", "payload.source"),
        (("payload", "severity"), "page", "payload.severity"),
        (("payload", "extra"), 1, "unknown field extra"),
        (("links", 0, "href"), "", "links[0].href"),
        (("details",), {}, "unknown field details"),
    ],
)
def test_pagerduty_refuses(path: tuple[Any, ...], value: Any, word: str) -> None:
    found = errors("/pagerduty", changed(EVENT, *path, to=value))
    assert len(found) == 1
    assert word in found[0]


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("text", "a < b", "escaped"),
        ("text", "a & b", "&"),
        ("text", "<!channel|x> <nonsense>", "escaped"),
        ("color", "red", "color"),
        ("title_link", "example", "title_link"),
        ("blink", True, "unknown field blink"),
        ("mrkdwn_in", "text", "mrkdwn_in"),
    ],
)
def test_slack_refuses(key: str, value: Any, word: str) -> None:
    found = errors("/slack", changed(MESSAGE, "attachments", 0, key, to=value))
    assert len(found) == 1
    assert word in found[0]


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("Message", "x" * 161, "Message"),
        ("Message", "20 €", "every phone"),
        ("PhoneNumber", "0470", "E.164"),
        ("PhoneNumber", "", "target"),
        ("TopicArn", "arn", "target"),
        ("Action", "Subscribe", "Action"),
    ],
)
def test_sns_refuses(field: str, value: str, word: str) -> None:
    found = errors("/sns", PUBLISH | {field: value}, SIGNED)
    assert len(found) == 1
    assert word in found[0]


def test_sns_wants_a_signature_of_this_request() -> None:
    assert "signature" in errors("/sns", PUBLISH)[0]
    assert "not of this request" in errors("/sns", PUBLISH, SIGNED, secret="s")[0]


def test_a_gateway_refuses() -> None:
    token = {"Authorization": "Bearer t"}
    assert "bearer" in errors("/sms", HOOK)[0]
    assert "version" in errors("/sms", HOOK | {"version": "3"}, token)[0]
    assert "1 to 5" in errors("/sms", HOOK | {"alerts": HOOK["alerts"] * 6}, token)[0]
    assert "100000" in errors("/heartbeat", {"x": "y" * 100_000})[0]
