"""The page's table is the one that scenario detection proves."""

from __future__ import annotations

from pathlib import Path

from lab.bench_page import table
from tests.integration.matrix import HEAD, MATRIX

PAGE = Path(__file__).parents[2] / "docs" / "security.md"


def test_the_table_of_the_page_is_the_one_that_is_proven() -> None:
    wanted = "\n".join(table(HEAD, (kind.row() for kind in MATRIX)))
    assert wanted in PAGE.read_text(encoding="utf-8"), wanted


def test_no_two_attacks_come_from_the_same_address() -> None:
    sources = [source for kind in MATRIX for source in kind.sources]
    assert len(sources) == len(set(sources))
