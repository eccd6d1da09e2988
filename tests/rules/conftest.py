"""Makes the checkout importable as C(ansible_collections.koprogo.observability), and finds promtool."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.plugins.loader import init_plugin_loader

from lab.binaries import PROMTOOL, ensure_binary
from lab.shell import LabError

init_plugin_loader([str(Path(__file__).parents[2] / "collections")])


@pytest.fixture(scope="session")
def promtool() -> Path:
    """The path of promtool; without it the tests fail with what was tried."""
    try:
        return ensure_binary(*PROMTOOL)
    except LabError as error:
        pytest.fail(str(error), pytrace=False)
