"""Every query of every dashboard, asked of the stack with its variables filled in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.panel_check import FOLDER, Outcome, check, excused, span_of, summary
from lab.panels import load
from lab.preview.browser import chart_library, find_chromium
from lab.preview.draw import Studio
from tests.integration.ask import wait_for
from tests.integration.panels import stack_of

testinfra_hosts = ["ansible://monitoring"]


def test_every_query_of_every_dashboard_returns_data_or_has_a_reason_not_to(host: Any) -> None:
    stack = stack_of(host)
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


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """Pages are drawn as `make preview` does it."""
    return Studio(
        library=chart_library(print),
        chromium=find_chromium(),
        folder=tmp_path_factory.mktemp("preview"),
        reasons=excused(),
    )


def test_a_browser_draws_every_panel_of_every_dashboard(host: Any, studio: Studio) -> None:
    stack, span = stack_of(host), span_of(15)
    boards = load(FOLDER).values()
    with ThreadPoolExecutor(2) as pool:
        drawn = list(pool.map(lambda board: studio.draw(stack, board, span), boards))
    assert {one.data["uid"]: one.wrong for one in drawn if one.wrong} == {}
    assert all(one.picture.stat().st_size > 20_000 for one in drawn)


def test_a_page_that_is_not_as_it_should_be_is_told_of(studio: Studio, tmp_path: Path) -> None:
    place = {"x": 0, "y": 0, "w": 6, "h": 4}
    panel = {"id": 1, "kind": "text", "title": "P", "about": "", "place": place, "field": {}}
    panel |= {"options": {"content": "text"}, "links": [], "errors": []}
    data: dict[str, Any] = {
        "uid": "wrong",
        "title": "Wrong",
        "about": "",
        "start": 0,
        "end": 1000,
        "variables": [],
        "rows": [],
        "marks": [],
        "panels": [panel],
    }

    def wrong(library: str, **other: Any) -> list[str]:
        at = replace(studio, folder=tmp_path, library=library)
        return at.judge({**data, **other}, set()).wrong

    assert wrong(studio.library) == []
    bare = {**panel, "kind": "timeseries", "series": [], "empty": True}
    assert wrong(studio.library, panels=[bare]) == ["panel 1 (P): empty"]
    assert any("said aloud" in one for one in wrong("console.error('said aloud')"))
    assert any("thrown" in one for one in wrong("throw new Error('thrown')"))
