"""What the tests of this scenario share: they follow each other on one server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.alert_watcher import Watcher
from tests.integration.faults import BOX, put_programs, show_own_processors
from tests.integration.live_remedy import Work
from tests.integration.receivers import Receivers, receiving


@pytest.fixture(scope="package")
def watcher() -> Iterator[Watcher]:
    """Follows the alerts for all tests."""
    found = Watcher(BOX)
    thread = found.start()
    yield found
    found.stop()
    thread.join()


@pytest.fixture(scope="package", autouse=True)
def slack() -> Iterator[Receivers]:
    """Where the remediations tell of their incidents."""
    put_programs()
    show_own_processors()
    with receiving(BOX, "127.0.0.1:9199") as receivers:
        yield receivers


@pytest.fixture(scope="package")
def pool() -> Iterator[ThreadPoolExecutor]:
    """Remediations under way."""
    with ThreadPoolExecutor(8) as found:
        yield found


@pytest.fixture(scope="package")
def works() -> dict[str, Work]:
    """Remediations that go on while other tests run, by their alert."""
    return {}


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Show a figure although the test passes."""

    def show(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}")

    return show
