"""Every test runs on both releases."""

from __future__ import annotations

import pytest

from tests.integration.victim import Victim


@pytest.fixture(params=["detect-box12", "detect-box13"])
def box(request: pytest.FixtureRequest) -> Victim:
    return Victim(request.param)
