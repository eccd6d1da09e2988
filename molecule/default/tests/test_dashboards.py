"""Every query of every dashboard, asked of the stack with its variables filled in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab.panel_check import FOLDER, Answer, Outcome, Stack, check, excused, span_of, summary
from lab.panels import load
from tests.integration.ask import get_many, wait_for

testinfra_hosts = ["ansible://monitoring"]


def test_every_query_of_every_dashboard_returns_data_or_has_a_reason_not_to(host: Any) -> None:
    def fetch(urls: Sequence[str]) -> list[Answer]:
        return [Answer(status=status, body=body) for status, body in get_many(host, urls)]

    stack = Stack(prometheus="http://127.0.0.1:9090", loki="http://127.0.0.1:3100", fetch=fetch)
    dashboards = load(FOLDER)
    outcomes: list[Outcome] = []

    def all_is_well() -> bool:
        # Rates need some scrapes; a stack that was started a minute ago has few.
        outcomes[:] = check(stack, dashboards, span_of(15), excused())
        return not any(one.failed for one in outcomes)

    try:
        wait_for(all_is_well, seconds=120, what="data for every query", every=15)
    except AssertionError as error:
        raise AssertionError(summary(outcomes)) from error
    assert len(outcomes) > 250
