"""The metric contract: what rules and panels select must be among what the exporters really serve.

C(tests/fixtures/metrics) has the series of each exporter's version of both Debian releases.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

__all__ = ["Selector", "selectors", "series", "unmatched", "unmatched_versions"]

_FIXTURES = Path(__file__).parent / "fixtures" / "metrics"
_TARGET = {"instance": "host1", "host": "host1", "deployment": "test"}
# What Prometheus adds to each target.
_OF_A_SCRAPE = ("up", "scrape_duration_seconds", "scrape_samples_post_metric_relabeling")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_MATCHER = re.compile(r'\s*(\w+)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\')\s*,?')
_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<range>\[[^\]]*\])
      | (?P<number>(?<![\w:])\d[\w.]*(?:e[+-]?\d+)?)
      | (?P<word>[a-zA-Z_:][\w:]*)
      | (?P<braces>\{)
      | (?P<open>\()
      | (?P<other>\S)""",
    re.VERBOSE,
)
# What takes a list of labels, and what stands between operands.
_GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_KEYWORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan", "atan2", "start", "end"}


@dataclass(frozen=True)
class Selector:
    """A name and its matchers: label, operator, value."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a series is selected; its name is the label C(__name__)."""
        if self.name and labels["__name__"] != self.name:
            return False
        return all(_fits(labels.get(name, ""), op, value) for name, op, value in self.matchers)

    def __str__(self) -> str:
        """As it is written in PromQL."""
        inside = ",".join(f'{name}{op}"{value}"' for name, op, value in self.matchers)
        return f"{self.name}{{{inside}}}"


def _fits(found: str, operator: str, value: str) -> bool:
    if operator in ("=", "!="):
        return (found == value) is (operator == "=")
    return (re.fullmatch(value, found) is not None) is (operator == "=~")


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _end_of(text: str, start: int, closing: str) -> int:
    """Index after the bracket that closes, strings left out."""
    for token in _TOKEN.finditer(text, start):
        if token.group() == closing:
            return token.end()
    raise ValueError(f"expected {closing!r} after position {start} of {text!r}")


def selectors(expr: str) -> Iterator[Selector]:
    """Every vector selector of a PromQL expression without template variables."""
    position, name = 0, ""
    text = re.sub(r"#[^\n]*", "", expr)
    while match := _TOKEN.search(text, position):
        position = match.end()
        word, kind = match.group(), match.lastgroup
        if kind == "braces":
            position = _end_of(text, match.start() + 1, "}")
            inside = text[match.end() : position - 1]
            yield Selector(
                name, tuple((m[1], m[2], _unquoted(m[3])) for m in _MATCHER.finditer(inside))
            )
            name = ""
            continue
        if name and kind != "open" and word not in ("by", "without"):
            yield Selector(name, ())
        name = ""
        if kind == "word" and word.lower() in _GROUPING:
            found = re.compile(r"\s*\(").match(text, position)
            position = _end_of(text, found.end(), ")") if found else position
        elif kind == "word" and word.lower() not in _KEYWORDS:
            # A function, if a bracket follows.
            name = word
    if name:
        yield Selector(name, ())


@cache
def series() -> Mapping[str, tuple[Mapping[str, str], ...]]:
    """All series by fixture, with the labels that targets give them."""
    found = {}
    for path in sorted(_FIXTURES.glob("*.prom")):
        first, *lines = path.read_text(encoding="utf-8").splitlines()
        target = {**_TARGET, "job": first.removeprefix("# job: ")}
        names = [{"__name__": name} for name in _OF_A_SCRAPE]
        for line in lines:
            name, _brace, labels = line.partition("{")
            own = {key: re.sub(r"\\(.)", r"\1", value) for key, value in _LABEL.findall(labels)}
            names.append({**own, "__name__": name})
        found[path.stem] = tuple({**target, **labels} for labels in names)
    return found


def unmatched(expr: str, recorded: Collection[str] = ()) -> list[str]:
    """The selectors of an expression that select nothing that any exporter serves.

    recorded: names of recording rules, whose series exist by their own rule.
    """
    return [
        str(selector)
        for selector in selectors(expr)
        if selector.name not in recorded
        and not any(map(selector.matches, chain.from_iterable(series().values())))
    ]


def unmatched_versions(expr: str, recorded: Collection[str] = ()) -> dict[str, list[str]]:
    """For each selector that selects nothing in some version of its exporter: those versions.

    A selector without C(job="...") is of no single exporter and is left out.
    """
    found: dict[str, list[str]] = {}
    for selector in selectors(expr):
        job = next((v for n, op, v in selector.matchers if (n, op) == ("job", "=")), "")
        if selector.name in recorded or not job:
            continue
        for fixture, labels in series().items():
            if labels[0]["job"] == job and not any(map(selector.matches, labels)):
                found.setdefault(str(selector), []).append(fixture)
    return found
