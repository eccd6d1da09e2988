"""The page of the roles' options is up to date."""

from __future__ import annotations

from lab.role_reference import TARGET, reference


def test_the_page_is_what_the_specifications_say() -> None:
    assert TARGET.read_text(encoding="utf-8") == reference(), "run `make docs`"
