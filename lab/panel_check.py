# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a live stack every query of every dashboard: each returns data, or is excused with a reason.

How the stack is asked is the caller's: the demo over its tunnel, a scenario on its own host. So all
requests of a round are handed over together. Run in the virtual environment.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import yaml

from lab.panels import (
    ALL,
    Query,
    Span,
    Variable,
    annotation_queries,
    fill,
    has_data,
    load,
    options_query,
    panel_queries,
    panels,
    variables,
)
from lab.paths import ROOT
from lab.shell import LabError
from lab.tunnel import DOORS, local_port

__all__ = [
    "EXCUSED",
    "FOLDER",
    "Answer",
    "Outcome",
    "Stack",
    "check",
    "demo",
    "everything",
    "excused",
    "link_queries",
    "options",
    "request",
    "span_of",
    "summary",
]

FOLDER = ROOT / "roles" / "grafana" / "files" / "dashboards"
EXCUSED = Path(__file__).with_name("panels_without_data.yml")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server said."""

    status: int
    body: str

    def result(self) -> list[Any]:
        """The series, streams or label values of a good answer."""
        data = json.loads(self.body)["data"]
        found: list[Any] = data["result"] if isinstance(data, dict) else data or []
        return found


Fetch = Callable[[Sequence[str]], list[Answer]]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A Prometheus and a Loki, and how many addresses at once are fetched from them."""

    prometheus: str
    loki: str
    fetch: Fetch

    def base(self, datasource: str) -> str:
        """The server of a data source's type."""
        return self.prometheus if datasource == "prometheus" else self.loki


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one query fared. state: data, excused, empty, error."""

    address: str
    state: str
    detail: str = ""

    @property
    def failed(self) -> bool:
        """Say whether this is a finding."""
        return self.state in ("empty", "error")


def _get(url: str) -> Answer:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=60) as reply:
            return Answer(status=reply.status, body=reply.read().decode())
    except urllib.error.HTTPError as error:
        return Answer(status=error.code, body=error.read().decode(errors="replace"))
    except OSError as error:
        server = urlsplit(url).netloc
        raise LabError(
            f"{server} can't be asked ({error}): start the demo, `make demo`."
        ) from error


def _get_all(urls: Sequence[str]) -> list[Answer]:
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(_get, urls))


def demo() -> Stack:
    """The demo's stack, over its tunnel."""
    ports = {door.name: local_port(door) for door in DOORS}
    return Stack(
        prometheus=f"http://127.0.0.1:{ports['Prometheus']}",
        loki=f"http://127.0.0.1:{ports['Loki']}",
        fetch=_get_all,
    )


def excused(path: Path = EXCUSED) -> dict[str, str]:
    """Address (C(*) stands for anything) to the reason why a query may have no data."""
    groups = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {address: group["reason"] for group in groups for address in group["queries"]}


def span_of(minutes: float, points: int = 60) -> Span:
    """The last minutes."""
    now = time.time()
    return Span(start=now - minutes * 60, end=now, points=points)


def request(stack: Stack, query: Query, expr: str, span: Span, most: int = 50) -> str:
    """The address that answers a query."""
    base = stack.base(query.datasource)
    root = f"{base}/api/v1" if query.datasource == "prometheus" else f"{base}/loki/api/v1"
    if query.instant:
        return f"{root}/query?{urlencode({'query': expr, 'time': span.end})}"
    parameters: dict[str, object] = {
        "query": expr,
        "start": span.start,
        "end": span.end,
        "step": span.step,
    }
    if query.datasource == "loki":
        parameters |= {"limit": most, "direction": "backward"}
    return f"{root}/query_range?{urlencode(parameters)}"


def options(
    stack: Stack, known: Sequence[Variable], span: Span
) -> tuple[dict[str, list[str]], list[Answer]]:
    """The options of each variable, the variables before it at "All"; and the servers' answers."""
    found: dict[str, list[str]] = {}
    answers = []
    for variable in known:
        selector, label = options_query(fill(variable.query, chosen={}, known=known, span=span))
        parameters: dict[str, object] = {"start": span.start, "end": span.end}
        if selector:
            parameters["match[]"] = selector
        url = f"{stack.prometheus}/api/v1/label/{label}/values?{urlencode(parameters)}"
        (answer,) = stack.fetch([url])
        answers.append(answer)
        values = answer.result() if answer.status == 200 else []
        found[variable.name] = variable.matching(values)
    return found, answers


def everything(
    known: Sequence[Variable], choices: Mapping[str, Sequence[str]]
) -> dict[str, Sequence[str]]:
    """The choice "All": a value of its own, or all options where there is none."""
    return {one.name: ALL if one.all_value else choices[one.name] for one in known}


def link_queries(panel: Mapping[str, Any], address: str) -> list[Query]:
    """The LogQL behind a panel's links to Explore."""
    found = []
    for link in panel.get("links") or []:
        parts = urlsplit(link["url"])
        if parts.path == "/explore":
            panes = json.loads(unquote(parse_qs(parts.query)["panes"][0]))
            expr = panes["logs"]["queries"][0]["expr"]
            name = f"{address}/link/{link['title']}"
            found.append(Query(address=name, datasource="loki", expr=expr, instant=False))
    return found


def _outcome(query: Query, answers: Sequence[Answer], reasons: Mapping[str, str]) -> Outcome:
    """Judge a query by its answers: everything chosen, and each value chosen by name."""
    for answer in answers:
        if answer.status != 200:
            return Outcome(address=query.address, state="error", detail=answer.body.strip()[:300])
    full = [has_data(answer.result()) for answer in answers]
    if all(full) or "/link/" in query.address:
        return Outcome(address=query.address, state="data")
    reason = next((why for glob, why in reasons.items() if fnmatch(query.address, glob)), "")
    if reason and not any(full):
        return Outcome(address=query.address, state="excused", detail=reason)
    what = "no data" if not any(full) else "data for All, none with every value chosen by name"
    return Outcome(address=query.address, state="empty", detail=f"{what}: {query.expr}")


def check(
    stack: Stack,
    dashboards: Mapping[str, Mapping[str, Any]],
    span: Span,
    reasons: Mapping[str, str],
) -> list[Outcome]:
    """Ask everything; the outcomes in the dashboards' order."""
    outcomes = []
    for uid, dashboard in dashboards.items():
        known = variables(dashboard)
        choices, answers = options(stack, known, span)
        for variable, answer in zip(known, answers, strict=True):
            state = "data" if choices[variable.name] else "empty"
            detail = "" if answer.status == 200 else answer.body[:300]
            address = f"{uid}/variable/{variable.name}"
            outcomes.append(Outcome(address=address, state=state, detail=detail or variable.query))
        queries = annotation_queries(dashboard)
        for panel in panels(dashboard):
            queries += panel_queries(panel)
            queries += link_queries(panel.raw, f"{uid}/{panel.number}")
        rounds = (everything(known, choices), choices)
        urls = [
            request(
                stack,
                query,
                fill(
                    query.expr, chosen=chosen, known=known, span=span, datasource=query.datasource
                ),
                span,
            )
            for query in queries
            for chosen in rounds
        ]
        replies = stack.fetch(urls)
        outcomes += [
            _outcome(query, replies[2 * index : 2 * index + 2], reasons)
            for index, query in enumerate(queries)
        ]
    return outcomes


def summary(outcomes: Sequence[Outcome]) -> str:
    """All findings, the excused by reason, and as the last line the count."""
    lines = []
    by_reason: dict[str, list[str]] = {}
    for one in outcomes:
        if one.failed:
            lines.append(f"{one.state.upper()} {one.address}: {one.detail}")
        elif one.state == "excused":
            by_reason.setdefault(one.detail, []).append(one.address)
    for reason, addresses in by_reason.items():
        lines += [f"no data, {reason}:", *(f"  {address}" for address in addresses)]
    counts = {state: sum(one.state == state for one in outcomes) for state in ("data", "excused")}
    lines.append(
        f"{len(outcomes)} queries: {counts['data']} with data, {counts['excused']} excused, "
        f"{sum(one.failed for one in outcomes)} failed"
    )
    return "\n".join(lines)


def main() -> int:
    """Ask the demo."""
    try:
        outcomes = check(demo(), load(FOLDER), span_of(30), excused())
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    print(summary(outcomes))
    return 1 if any(one.failed for one in outcomes) else 0


if __name__ == "__main__":
    raise SystemExit(main())
