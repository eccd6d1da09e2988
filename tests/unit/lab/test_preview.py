"""The preview: what a page holds, and what is taken as wrong with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_plus

import pytest

from lab.panel_check import FOLDER, Answer, Stack
from lab.panels import Span, legend, load
from lab.preview.collect import collect
from lab.preview.page import height, page, verdict

BOARDS = load(FOLDER)
SPAN = Span(start=1000, end=1060, points=4)
HOSTILE = '</script><script>alert("x")</script>'


def stack(results: dict[str, list[Any]]) -> Stack:
    """A stack that answers a query that contains a word."""

    def fetch(urls: Sequence[str]) -> list[Answer]:
        found = []
        for url in urls:
            asked = unquote_plus(url)
            result = next((value for word, value in results.items() if word in asked), [])
            body = ["one"] if "/label/" in url else {"result": result}
            found.append(Answer(status=200, body=json.dumps({"data": body})))
        return found

    return Stack(prometheus="http://p", loki="http://l", fetch=fetch)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("{{host}} P99", "api1 P99"),
        ("{{ host }}/{{missing}}", "api1/"),
        ("__auto", '{host="api1", job="api"}'),
        ("", '{host="api1", job="api"}'),
    ],
)
def test_a_series_is_named_as_the_panel_says(form: str, expected: str) -> None:
    assert legend(form, {"__name__": "up", "host": "api1", "job": "api"}) == expected


def test_a_firing_alert_is_a_row_with_its_columns_in_order() -> None:
    labels = {"alertname": "SlowApi", "severity": "warning", "host": "api1", "page": "SlowApi"}
    firing = [{"metric": labels, "value": [1060, "1"]}]
    data = collect(stack({'"page"': firing}), BOARDS["koprogo-incident"], SPAN)
    (panel,) = [one for one in data["panels"] if one["id"] == 10]
    heads = [column["name"] for column in panel["table"]["columns"]]
    assert heads[:2] == ["Severity", "Alert"]
    assert panel["table"]["rows"][0][:2] == ["warning", "SlowApi"]
    runbook = panel["table"]["columns"][heads.index("Runbook")]["own"]
    assert runbook["mappings"][0]["options"]["SlowApi"]["text"] == "slow_api"
    assert runbook["links"][0]["url"].endswith("/${__value.text}.md")


def test_annotations_mark_points_and_spans() -> None:
    alert: dict[str, str] = {"alertname": "SlowApi", "severity": "warning", "host": "api1"}
    firing = [{"metric": alert, "values": [[at, "1"] for at in (1000, 1015, 1045, 1060)]}]
    started = [{"metric": {"host": "api1"}, "values": [[1000, "9e5"], [1060, "1030000"]]}]
    done = {"alert": "SlowApi", "host": "api1", "outcome": "resolved"}
    remedied = [{"stream": done, "values": [["1050000000000", "{}"]]}]
    answers: dict[str, list[Any]] = {
        "query_range?query=ALERTS{": firing,
        "process_start_time": started,
        "koprogo-remediation": remedied,
    }
    found = collect(stack(answers), BOARDS["koprogo-api"], SPAN)["marks"]
    assert [(one["title"], one["start"], one["end"]) for one in found] == [
        ("SlowApi: warning api1", 1_000_000, 1_015_000),
        ("SlowApi: warning api1", 1_045_000, 1_060_000),
        # One before the shown time is not shown.
        ("API started: api1", 1_030_000, 1_030_000),
        ("Remediation: SlowApi on api1: resolved", 1_050_000, 1_050_000),
    ]


def test_what_a_client_wrote_into_a_log_ends_no_script() -> None:
    line = [{"stream": {"host": "api1"}, "values": [["1000000000", HOSTILE]]}]
    data = collect(stack({"{{if .message}}": line}), BOARDS["koprogo-api"], SPAN)
    text = page(data, "/* the library */")
    assert HOSTILE not in text
    assert "\\u003c/script>" in text
    assert text.count("</script>") == 3


def test_the_page_is_as_high_as_its_lowest_panel() -> None:
    data = collect(stack({}), BOARDS["koprogo-business"], SPAN)
    lowest = max(one["place"]["y"] + one["place"]["h"] for one in data["panels"])
    assert height(data) > 38 * lowest


@pytest.mark.parametrize(
    ("seen", "excused", "wrong"),
    [
        ('<section data-panel="1" data-state="drawn">', set(), []),
        ('<section data-panel="1" data-state="empty">', {1}, []),
        ('<section data-panel="1" data-state="empty">', set(), ["panel 1 (P): empty"]),
        ('<section data-panel="1" data-state="blank">', {1}, ["panel 1 (P): blank"]),
        ("", {1}, ["panel 1 (P): missing"]),
        (
            '<meta data-problem="a &quot;b&quot;"><section data-panel="1" data-state="drawn">',
            set(),
            ['script: a "b"'],
        ),
    ],
)
def test_verdict(seen: str, excused: set[int], wrong: list[str]) -> None:
    data = {"panels": [{"id": 1, "title": "P", "errors": []}]}
    assert verdict(data, seen, excused) == wrong
