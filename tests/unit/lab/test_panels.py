"""Variables are filled in as Grafana fills them in, and answers are judged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from lab.panel_check import Answer, Stack, check, summary
from lab.panels import ALL, Span, Variable, fill, has_data, options_query

SPAN = Span(start=1000, end=4600, points=60)
HOST = Variable(
    name="host",
    query="label_values(up, host)",
    multi=True,
    include_all=True,
    all_value=".*",
    regex="",
)
ONE = Variable(
    name="one",
    query="label_values(up, one)",
    multi=False,
    include_all=False,
    all_value="",
    regex="",
)


@pytest.mark.parametrize(
    ("text", "values", "datasource", "expected"),
    [
        ('up{host=~"$host"}', ALL, "prometheus", 'up{host=~".*"}'),
        ('up{host=~"$host"}', ["api1"], "prometheus", 'up{host=~"api1"}'),
        ('up{host=~"${host}"}', ["a", "b"], "prometheus", 'up{host=~"(a|b)"}'),
        ('{host=~"$host"}', ["a", "b"], "loki", '{host=~"a|b"}'),
        ('{host=~"[[host]]"}', ["a", "b"], "loki", '{host=~"a|b"}'),
        ('up{p=~"$host"}', ["a.b/{id}"], "prometheus", r'up{p=~"a\\.b/\\{id\\}"}'),
        ("${host:pipe}", ["a.b", "c"], "prometheus", "a.b|c"),
        ("${host:csv}", ["a", "b"], "prometheus", "a,b"),
        ("${host:regex}", ["a.b", "c"], "prometheus", r"(a\.b|c)"),
        ("${host:percentencode}", ["a b"], "prometheus", "a%20b"),
        ("${host:pipe}", ALL, "prometheus", ".*"),
    ],
)
def test_variables(text: str, values: Sequence[str], datasource: str, expected: str) -> None:
    filled = fill(text, chosen={"host": values}, known=[HOST], span=SPAN, datasource=datasource)
    assert filled == expected


def test_a_variable_with_one_value_is_not_escaped_for_an_expression() -> None:
    assert fill('{a="$one"}', chosen={"one": ["x.y"]}, known=[ONE], span=SPAN) == '{a="x.y"}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rate(a[$__rate_interval])", "rate(a[75s])"),
        ("rate(a[$__interval])", "rate(a[60s])"),
        ("a[${__range}]", "a[3600s]"),
        ("$__range_s $__range_ms", "3600 3600000"),
        ("$__from $__to", "1000000 4600000"),
        ("rate(a[$__auto])", "rate(a[75s])"),
    ],
)
def test_grafanas_own_variables(text: str, expected: str) -> None:
    assert fill(text, chosen={}, known=[], span=SPAN) == expected


def test_the_rate_interval_holds_four_scrapes_even_over_a_short_time() -> None:
    assert Span(start=0, end=300, points=300).built_in()["__rate_interval"] == "60s"


def test_the_groups_of_an_expression_stay() -> None:
    text = 'label_replace(a, "class", "${1}xx", "status", "$1")'
    assert fill(text, chosen={}, known=[HOST], span=SPAN) == text


@pytest.mark.parametrize("text", ['up{host=~"$hots"}', "${host:glob}"])
def test_a_typing_error_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"hots|glob"):
        fill(text, chosen={"host": ["a"]}, known=[HOST], span=SPAN)


def test_options() -> None:
    assert options_query("label_values(up, host)") == ("up", "host")
    assert options_query('label_values(up{a=~"b,c"}, host)') == ('up{a=~"b,c"}', "host")
    assert options_query("label_values(host)") == ("", "host")
    only = Variable(
        name="d", query="", multi=True, include_all=True, all_value="", regex="/^(?!template)/"
    )
    assert only.matching(["template1", "b", "a"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ([], False),
        ([{"metric": {}, "value": [1, "NaN"]}], False),
        ([{"metric": {}, "values": []}], False),
        ([{"metric": {}, "values": [[1, "NaN"], [2, "0"]]}], True),
        ([{"stream": {}, "values": [["1", "a line"]]}], True),
    ],
)
def test_has_data(result: list[dict[str, Any]], expected: bool) -> None:
    assert has_data(result) is expected


def board(expr: str) -> dict[str, Any]:
    target = {"refId": "A", "datasource": {"type": "prometheus"}, "expr": expr}
    variable = {
        "name": "host",
        "query": {"query": "label_values(up, host)"},
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
    }
    return {
        "uid": "b",
        "templating": {"list": [variable]},
        "panels": [{"type": "timeseries", "id": 1, "title": "P", "targets": [target]}],
    }


def stack(answer: dict[str, tuple[int, list[Any]]]) -> Stack:
    """A stack whose answer to a query depends on a word in it."""

    def fetch(urls: Sequence[str]) -> list[Answer]:
        found = []
        for url in urls:
            if "/label/" in url:
                found.append(Answer(status=200, body=json.dumps({"data": ["api1", "db.1"]})))
                continue
            status, result = next(value for key, value in answer.items() if key in url)
            found.append(Answer(status=status, body=json.dumps({"data": {"result": result}})))
        return found

    return Stack(prometheus="http://p", loki="http://l", fetch=fetch)


GOOD = (200, [{"metric": {}, "values": [[1, "1"]]}])
NONE: tuple[int, list[Any]] = (200, [])


@pytest.mark.parametrize(
    ("answer", "reasons", "state"),
    [
        ({"": GOOD}, {}, "data"),
        ({"": NONE}, {}, "empty"),
        ({"": NONE}, {"b/1/*": "because"}, "excused"),
        ({"": (400, [])}, {"b/1/A": "an excuse is for no data, never for an error"}, "error"),
        ({".%2A": GOOD, "": NONE}, {"b/1/A": "nor for data that a choice by name loses"}, "empty"),
    ],
)
def test_outcomes(
    answer: dict[str, tuple[int, list[Any]]], reasons: dict[str, str], state: str
) -> None:
    outcomes = check(stack(answer), {"b": board('up{host=~"$host"}')}, SPAN, reasons)
    assert [(one.address, one.state) for one in outcomes] == [
        ("b/variable/host", "data"),
        ("b/1/A", state),
    ]
    failed = int(state in ("empty", "error"))
    assert summary(outcomes).endswith(f"{int(state == 'excused')} excused, {failed} failed")
