"""What the tests of the scenario share."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.integration.ask import get, logql, wait_for
from tests.integration.boxes import Box, docker

WRITER = Path(__file__).with_name("writer.py").read_text(encoding="utf-8")
API_LOG = "/var/log/koprogo/api.log"

Find = Callable[..., list[str]]


@pytest.fixture
def mon() -> Box:
    return Box("logs-mon1")


@pytest.fixture
def app() -> Box:
    return Box("logs-app1")


@pytest.fixture
def marker() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def write() -> Callable[..., None]:
    """Append lines in a container, and wait for the end of it."""

    def act(box: Box, lines: int, *, marker: str, rate: float = 0) -> None:
        arguments = ("python3", "-", API_LOG, str(lines), str(rate), marker)
        assert "written" in docker("exec", "-i", box.name, *arguments, stdin=WRITER)

    return act


@pytest.fixture
def find(host: Any) -> Find:
    """Lines of a LogQL query, once there are as many as expected, or as there are then."""

    def ask(query: str, *, expected: int, seconds: float = 40, since: float = 3600) -> list[str]:
        def enough() -> list[str]:
            try:
                lines = [text for _time, text in logql(host, query, since=since)]
            except AssertionError:
                return []  # Loki is still starting.
            return lines if len(lines) >= expected else []

        found: list[str] = wait_for(enough, seconds=seconds, what=f"{expected} lines of {query}")
        return found

    return ask


@pytest.fixture
def count(host: Any) -> Callable[[str], int]:
    """How many lines a selector has; more than a query returns."""

    def ask(selector: str) -> int:
        query = urlencode({"query": f"sum(count_over_time({selector} [1h]))"})
        try:
            answer = json.loads(get(host, f"http://127.0.0.1:3100/loki/api/v1/query?{query}"))
        except AssertionError:
            return -1  # Loki is still starting.
        result = answer["data"]["result"]
        return int(result[0]["value"][1]) if result else 0

    return ask
