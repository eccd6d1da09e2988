"""The runbook's pages: one for each alert, and no link, in either direction, leads nowhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from lab.dashboards.links import RUNBOOKS, remediations, snake_case
from lab.panel_check import FOLDER
from lab.panels import load, panels
from plugins.plugin_utils._alerts_catalogue import ALERTS
from plugins.plugin_utils._panels import PANELS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {path.name: path for path in (DOCS / "runbooks").glob("*.md")}
# Where no alert leads: the list of all pages, and the end of every escalation.
OTHERS = {"README.md", "disaster_recovery.md"}
NUMBERS = {uid: {panel.number for panel in panels(board)} for uid, board in load(FOLDER).items()}
GRAFANA = "http://127.0.0.1:3001"


def links(path: Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    assert set(PAGES) - OTHERS == {f"{snake_case(alert)}.md" for alert in PANELS}
    assert set(PAGES) >= OTHERS


def test_the_list_of_pages_names_every_alert_and_its_severity() -> None:
    text = PAGES["README.md"].read_text(encoding="utf-8")
    for alert in PANELS:
        assert f"| [{alert}]({snake_case(alert)}.md) | {ALERTS[alert].severity} " in text


@pytest.mark.parametrize("page", [*PAGES, "../dashboards.md"])
def test_every_relative_link_leads_to_a_file_and_a_heading(page: str) -> None:
    path = DOCS / "runbooks" / page
    for link in links(path):
        if "://" in link:
            continue
        name, _hash, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", [*PAGES, "../dashboards.md"])
def test_every_link_to_grafana_names_a_dashboard_and_a_panel_that_exist(page: str) -> None:
    for link in links(DOCS / "runbooks" / page):
        if not link.startswith(GRAFANA):
            continue
        parts = urlsplit(link)
        if parts.path == "/explore":
            continue
        assert parts.path.startswith("/d/"), link
        uid = parts.path.removeprefix("/d/")
        assert uid in NUMBERS, link
        for number in parse_qs(parts.query).get("viewPanel", []):
            assert int(number) in NUMBERS[uid], link


@pytest.mark.parametrize("alert", PANELS)
def test_the_page_leads_to_the_panel_that_the_alert_judges(alert: str) -> None:
    place = PANELS[alert]
    link = f"{GRAFANA}/d/{place.dashboard}?viewPanel={place.number}"
    assert link in links(PAGES[f"{snake_case(alert)}.md"])


@pytest.mark.parametrize("alert", PANELS)
def test_the_page_leads_to_the_lines_that_the_alert_leads_to(alert: str) -> None:
    page = PAGES[f"{snake_case(alert)}.md"]
    lines = ALERTS[alert].lines()
    assert re.findall(r"```logql\n(.*?)\n```", page.read_text(encoding="utf-8")) == [lines]
    (link,) = [link for link in links(page) if link.startswith(f"{GRAFANA}/explore?")]
    panes = json.loads(parse_qs(urlsplit(link).query)["panes"][0])
    assert panes["logs"]["queries"][0]["expr"] == lines


@pytest.mark.parametrize("alert", PANELS)
def test_the_page_has_what_a_tired_engineer_needs(alert: str) -> None:
    text = PAGES[f"{snake_case(alert)}.md"].read_text(encoding="utf-8")
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    assert heads == [
        alert,
        "First three commands",
        "What they tell you",
        "Remediation",
        "It worked when",
        "Escalate",
        "Look",
    ]
    first = re.findall(r"```sh\n(.*?)\n```", text, re.DOTALL)[0]
    assert len(first.splitlines()) == 3
    assert re.search(r"\*\*L[34]|L2 → L3", text)


@pytest.mark.parametrize("alert", PANELS)
def test_the_command_is_given_where_there_is_a_playbook(alert: str) -> None:
    text = PAGES[f"{snake_case(alert)}.md"].read_text(encoding="utf-8")
    command = (
        remediations().get(alert, "").replace("playbooks/", "-i inventories/production playbooks/")
    )
    blocks = "\n".join(re.findall(r"```sh\n(.*?)\n```", text, re.DOTALL))
    if not command:
        assert "playbooks/remediate" not in blocks
        assert "No playbook of its own" in text
    else:
        assert re.search(rf"^{re.escape(command)} \w+ --check$", blocks, re.MULTILINE)
        assert re.search(rf"^{re.escape(command)} \w+$", blocks, re.MULTILINE)


@pytest.mark.parametrize("page", [*PAGES, "../remediation_modules.md", "../security.md"])
def test_every_command_names_the_inventory(page: str) -> None:
    """Without one it would ask the demo, whose hosts have the same names, and look like a success."""
    text = (DOCS / "runbooks" / page).read_text(encoding="utf-8")
    playbooks = re.findall(r"ansible-playbook (.*?)playbooks/", text)
    assert playbooks == ["-i inventories/production "] * len(playbooks)


@pytest.mark.parametrize("alert", PANELS)
def test_the_page_has_the_alerts_severity(alert: str) -> None:
    text = PAGES[f"{snake_case(alert)}.md"].read_text(encoding="utf-8")
    assert re.search(rf"^Severity: {ALERTS[alert].severity}\b", text, re.MULTILINE)


def test_role_grafana_finds_the_dashboards_commands() -> None:
    text = (DOCS.parent / "roles/grafana/vars/main.yml").read_text(encoding="utf-8")
    begin = re.findall(r"^__grafana_remediation_written: (.*)$", text, re.MULTILINE)
    assert len(begin) == 1
    assert all(command.startswith(begin[0]) for command in remediations().values())


def test_the_roles_default_and_the_dashboards_agree_on_the_runbooks_address() -> None:
    role = DOCS.parent / "roles/grafana"
    for part in ("defaults/main.yml", "vars/main.yml"):
        assert f": {RUNBOOKS}\n" in (role / part).read_text(encoding="utf-8"), part
