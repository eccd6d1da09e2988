"""The dashboards: up to date, whole, readable, and linked to alerts and pages both ways."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatch
from itertools import combinations
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from lab.dashboards.boards import FOLDER, rendered
from lab.dashboards.links import RUNBOOKS, explore, snake_case
from lab.panel_check import excused, link_queries
from lab.panels import Panel, annotation_queries, load, panel_queries, panels, variables
from lab.paths import ROOT
from plugins.plugin_utils._alerts_catalogue import ALERTS
from plugins.plugin_utils._panels import DASHBOARDS, PANELS

BOARDS = load(FOLDER)
ALL_PANELS = [panel for board in BOARDS.values() for panel in panels(board)]


def name(panel: Panel) -> str:
    return f"{panel.dashboard}/{panel.number}"


def test_the_files_are_what_the_code_makes() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert written == rendered(), "run `python3 -m lab dashboards`"


def test_uids_and_titles_are_the_agreed_ones() -> None:
    assert {uid: board["title"] for uid, board in BOARDS.items()} == DASHBOARDS


@pytest.mark.parametrize("alert", PANELS)
def test_every_alert_leads_to_a_panel_and_the_panel_back_to_it(alert: str) -> None:
    place = PANELS[alert]
    (panel,) = [p for p in ALL_PANELS if (p.dashboard, p.number) == (place.dashboard, place.number)]
    links = {link["title"]: link["url"] for link in panel.raw["links"]}
    assert links[f"Runbook: {alert}"] == f"{RUNBOOKS}/{snake_case(alert)}.md"
    panes = json.loads(parse_qs(urlsplit(links[f"Logs: {alert}"]).query)["panes"][0])
    chosen = ',deployment=~"${deployment:pipe}",host=~"${host:pipe}"'
    assert panes["logs"]["queries"][0]["expr"] == ALERTS[alert].lines(chosen)


@pytest.mark.parametrize("panel", ALL_PANELS, ids=name)
def test_every_panel_has_a_title_a_description_and_a_unit(panel: Panel) -> None:
    assert panel.title
    assert len(panel.raw["description"]) > 10
    assert panel.raw["fieldConfig"]["defaults"]["unit"]
    assert panel_queries(panel) or panel.kind == "text"


@pytest.mark.parametrize("uid", BOARDS)
def test_numbers_and_letters_are_unique_and_no_panel_covers_another(uid: str) -> None:
    everything = [*BOARDS[uid]["panels"]]
    numbers = [panel["id"] for panel in everything]
    assert len(numbers) == len(set(numbers))
    for panel in panels(BOARDS[uid]):
        letters = [query.letter for query in panel_queries(panel)]
        assert len(letters) == len(set(letters))
    for one, other in combinations([panel["gridPos"] for panel in everything], 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in everything)


@pytest.mark.parametrize("uid", BOARDS)
def test_every_query_is_held_to_the_chosen_deployments(uid: str) -> None:
    for panel in panels(BOARDS[uid]):
        for query in panel_queries(panel):
            selectors = re.findall(r"\{[^{}]*\}", query.expr.replace("{{", "").replace("}}", ""))
            real = [one for one in selectors if "=" in one]
            known = [one for one in real if 'deployment=~"$deployment"' in one]
            watching = [one for one in real if "Watchdog" in one]
            assert len(known) + len(watching) >= len(real), query


@pytest.mark.parametrize("uid", BOARDS)
def test_several_choices_are_matched_and_never_compared(uid: str) -> None:
    """C(=) with two hosts chosen would be compared with the text C((a|b))."""
    for variable in variables(BOARDS[uid]):
        assert variable.multi
        assert variable.include_all
        wrong = re.compile(rf'(?<![~])="\${{?{variable.name}\b')
        assert not wrong.search(json.dumps(BOARDS[uid]).replace('\\"', '"')), variable.name


@pytest.mark.parametrize("uid", BOARDS)
def test_data_sources_are_the_provisioned_ones(uid: str) -> None:
    text = (ROOT / "roles/grafana/vars/main.yml").read_text(encoding="utf-8")
    provisioned = set(re.findall(r"^    uid: (\w+)$", text, re.MULTILINE))
    used = set(re.findall(r'"uid": "(prometheus|loki|[^"]*source[^"]*)"', json.dumps(BOARDS[uid])))
    assert used
    assert used <= provisioned


@pytest.mark.parametrize("uid", BOARDS)
def test_links_to_dashboards_name_existing_ones(uid: str) -> None:
    found = re.findall(r"/d/([\w-]+)", json.dumps(BOARDS[uid]))
    assert set(found) <= set(DASHBOARDS)


def test_the_link_to_the_logs_survives_its_own_encoding() -> None:
    url = explore('{job="koprogo-api", host=~"$host"} |= "a&b" | json')
    panes = json.loads(parse_qs(urlsplit(url).query)["panes"][0])
    query = panes["logs"]["queries"][0]
    assert query["expr"] == '{job="koprogo-api", host=~"${host:pipe}"} |= "a&b" | json'
    assert panes["logs"]["range"] == {"from": "${__from}", "to": "${__to}"}
    assert "$%7B" not in url


def test_every_excuse_is_for_a_query_that_exists() -> None:
    addresses = [query.address for panel in ALL_PANELS for query in panel_queries(panel)]
    for uid, board in BOARDS.items():
        addresses += [query.address for query in annotation_queries(board)]
        addresses += [
            link.address
            for panel in panels(board)
            for link in link_queries(panel.raw, f"{uid}/{panel.number}")
        ]
    for glob, reason in excused().items():
        assert reason
        assert any(fnmatch(address, glob) for address in addresses), glob


@pytest.mark.parametrize("panel", ALL_PANELS, ids=name)
def test_a_panel_that_may_be_empty_says_what_that_means(panel: Panel) -> None:
    queries = panel_queries(panel)
    if queries and all(any(fnmatch(q.address, glob) for glob in excused()) for q in queries):
        assert panel.raw["fieldConfig"]["defaults"].get("noValue"), panel.title


def test_nothing_is_left_of_the_librarys_default_of_hiding_links() -> None:
    def placements(value: Any) -> list[Any]:
        if isinstance(value, dict):
            own = [value["placement"]] if "placement" in value else []
            return own + [one for child in value.values() for one in placements(child)]
        return (
            [one for child in value for one in placements(child)] if isinstance(value, list) else []
        )

    for board in BOARDS.values():
        assert "inControlsMenu" not in placements(board)
