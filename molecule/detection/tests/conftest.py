"""Nobody is banned when a test begins, on neither host."""

from __future__ import annotations

import pytest

from tests.integration.victim import Victim, on_each_victim


@pytest.fixture(autouse=True)
def _nobody_is_banned() -> None:
    on_each_victim(Victim.unban_all)()
