# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rules and dashboards ask of Prometheus, with the lab's three hosts and with ten times as many.

A real Prometheus with the rule files that role prometheus writes for such an inventory. Its series are
those of the metric contract, which the exporters really serve: an hour of them is written at once, and then
a sample of each as often as it would be scraped. Run in the virtual environment.
"""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.bench_page import put, table
from lab.bench_product import scrape_jobs, seconds_of, start, write_rules
from lab.bench_series import Feed, lab_hosts, labels_of
from lab.loopback import ask, prometheus
from lab.panel_check import FOLDER, Answer, Stack, everything, options, request, span_of
from lab.panels import annotation_queries, fill, has_data, load, panel_queries, panels
from lab.panels import variables as variables_of

__all__ = ["Asked", "Load", "section"]

#: Times the lab's hosts. A fixture leaves out what only repeats itself, a third: these many hosts have ten
#: times the series that the lab's have.
_SCALES = (1, 15)
#: Seconds in which evaluations are watched: those of the slowest group, each minute, once at least.
_WATCHED = 70
_ROUNDS = 5
_SPAN = 60


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A query of a dashboard: seconds, and whether it found something."""

    address: str
    seconds: float
    found: bool

    @property
    def dashboard(self) -> str:
        """The dashboard's uid."""
        return self.address.partition("/")[0]


@dataclass(frozen=True, kw_only=True)
class Load:
    """One scale. groups: seconds of an evaluation by rule group."""

    hosts: int
    series: int
    rules: int
    groups: Mapping[str, float]
    queries: Sequence[Asked]

    @property
    def slowest_group(self) -> str:
        """The rule group that takes longest."""
        return max(self.groups, key=lambda name: self.groups[name])

    @property
    def slowest_query(self) -> Asked:
        """The query that takes longest."""
        return max(self.queries, key=lambda one: one.seconds)

    def total(self, dashboard: str = "") -> float:
        """Seconds of the queries of one dashboard, or of all."""
        return sum(one.seconds for one in self.queries if dashboard in ("", one.dashboard))


def _scrape() -> int:
    return seconds_of("prometheus", "scrape_interval")


def _evaluation() -> int:
    return seconds_of("prometheus", "evaluation_interval")


def _results(base: str, path: str) -> Any:
    return json.loads(ask(f"{base}/api/v1/{path}"))["data"]


def _evaluations(base: str) -> tuple[int, dict[str, float]]:
    """The number of rules, and the least seconds of each group's evaluations while they are watched."""
    seen: dict[str, dict[str, float]] = {}
    deadline = time.monotonic() + _WATCHED
    groups: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        groups = _results(base, "rules")["groups"]
        for group in groups:
            # One that was not evaluated yet says the year 1.
            if not group["lastEvaluation"].startswith("0001"):
                seen.setdefault(group["name"], {})[group["lastEvaluation"]] = group[
                    "evaluationTime"
                ]
        time.sleep(2)
    least = {name: min(times.values()) for name, times in seen.items()}
    return sum(len(group["rules"]) for group in groups), least


def _addresses(base: str) -> dict[str, str]:
    """Where every PromQL query of every dashboard is answered, everything chosen."""

    def fetch(urls: Sequence[str]) -> list[Answer]:
        return [Answer(status=200, body=ask(url).decode()) for url in urls]

    stack = Stack(prometheus=base, loki="", fetch=fetch)
    found = {}
    for dashboard in load(FOLDER).values():
        known, span = variables_of(dashboard), span_of(_SPAN, points=200)
        chosen = everything(known, options(stack, known, span)[0])
        queries = [query for panel in panels(dashboard) for query in panel_queries(panel)]
        for query in [*queries, *annotation_queries(dashboard)]:
            if query.datasource == "prometheus":
                expr = fill(query.expr, chosen=chosen, known=known, span=span)
                found[query.address] = request(stack, query, expr, span)
    return found


def _queries(base: str) -> list[Asked]:
    """Each query, one after the other, in several rounds: the least, as other work only adds to it."""
    urls = _addresses(base)
    best: dict[str, float] = {}
    found: dict[str, bool] = {}
    for _round in range(_ROUNDS):
        for address, url in urls.items():
            began = time.monotonic()
            answer = ask(url)
            best[address] = min(time.monotonic() - began, best.get(address, math.inf))
            found[address] = has_data(json.loads(answer)["data"]["result"])
    return [Asked(address=one, seconds=best[one], found=found[one]) for one in urls]


@contextlib.contextmanager
def _fed(feed: Feed, base: str) -> Iterator[None]:
    """Samples keep coming while the block runs."""
    done = threading.Event()

    def keep_feeding() -> None:
        while not done.wait(_scrape() - time.time() % _scrape()):
            feed.now(base)

    with ThreadPoolExecutor(1) as pool:
        feeding = pool.submit(keep_feeding)
        try:
            yield
        finally:
            done.set()
        # A sample that could not be written is an error.
        feeding.result()


def _measure(scale: int) -> Load:
    groups, hostvars = lab_hosts(scale)
    feed = Feed(labels_of(scrape_jobs(groups, hostvars)), interval=_scrape())
    config = {
        "global": {"evaluation_interval": f"{_evaluation()}s"},
        "rule_files": ["rules/*.json"],
    }
    with tempfile.TemporaryDirectory(prefix="koprogo-bench-") as name:
        folder = Path(name) / "rules"
        folder.mkdir()
        flags = ("--web.enable-remote-write-receiver", "--web.enable-lifecycle")
        with prometheus(Path(name), config, *flags) as base:
            feed.past(base, minutes=_SPAN)
            # Not sooner: what rules record now would close the store to an hour ago.
            write_rules(folder, groups, hostvars)
            ask(f"{base}/-/reload", b"")
            with _fed(feed, base):
                rules, evaluations = _evaluations(base)
            # Without what comes in meanwhile: the machine is too small for both.
            return Load(
                hosts=len(groups["all"]),
                series=len(feed),
                rules=rules,
                groups=evaluations,
                queries=_queries(base),
            )


def _row(what: str, figures: Sequence[float], shown: str) -> tuple[str, ...]:
    return (what, *(shown.format(one) for one in figures), f"{figures[-1] / figures[0]:.1f}")


def section(loads: Sequence[Load]) -> str:
    """The page's section."""
    last = loads[-1]
    found = sum(one.found for one in last.queries)
    rows = [
        _row("hosts", [one.hosts for one in loads], "{}"),
        _row("series of the targets", [one.series for one in loads], "{}"),
        _row("rules", [one.rules for one in loads], "{}"),
        _row("all rule groups", [sum(one.groups.values()) * 1e3 for one in loads], "{:.0f} ms"),
        _row(
            f"slowest group, {last.slowest_group}",
            [one.groups[last.slowest_group] * 1e3 for one in loads],
            "{:.0f} ms",
        ),
        _row("all queries, in turn", [one.total() for one in loads], "{:.2f} s"),
        *(
            _row(f"of {dashboard}", [one.total(dashboard) for one in loads], "{:.2f} s")
            for dashboard in dict.fromkeys(one.dashboard for one in last.queries)
        ),
        _row(
            f"slowest query, {last.slowest_query.address}",
            [one.slowest_query.seconds * 1e3 for one in loads],
            "{:.0f} ms",
        ),
    ]
    lines = [
        "## Rules and dashboards with ten times the lab's series",
        "",
        "Prometheus 2.42 on loopback with the rules of the role. The series are those of the "
        "exporters as the metric contract knows them, an hour long, for three hosts and for "
        f"{last.hosts}: a fixture leaves out what only repeats itself, a third, and so these have ten "
        f"times the lab's 6500. Rules: the least of the evaluations in {_WATCHED} seconds, while samples "
        f"come in; all of them are due each {_evaluation()} seconds, burn rates each minute. Dashboards: "
        f"all {len(last.queries)} PromQL queries of panels and annotations over one hour, everything "
        f"chosen, one after the other, the least of {_ROUNDS}; {found} of them find something.",
        "",
        *table(("", *(f"{one.hosts} hosts" for one in loads), "ratio"), rows),
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and write the section."""
    start()
    put(section([_measure(scale) for scale in _SCALES]))


if __name__ == "__main__":
    main()
