"""Each of the eight fires for a real fault within its time, and ends with the fault."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.alert_watcher import Watcher
from tests.integration.ask import targets_up, wait_for
from tests.integration.faults import (
    BOX,
    FAULTS,
    log_in_wrongly,
    make_database_errors,
    show_own_processors,
)

Tell = Callable[[str], None]
testinfra_hosts = ["ansible://monitoring"]

SCRAPE = EVALUATION = 15
# A daemon that hangs is known to be down when the scrape gives up.
SCRAPE_TIMEOUT = 10
WINDOW = 300
# Fault: alert, its `for`, and how long until the condition holds, beyond a scrape.
TOGETHER = {
    "disk": ("DiskFull", 60, 0),
    "errors": ("HighErrorRate", 60, 0),
    # A slow request counts when it has ended.
    "latency": ("SlowApi", 30, 2),
    "memory": ("MemoryExhaustion", 60, 0),
    # Four fifths of the window.
    "processor": ("HighCpu", 30, 60),
    "connections": ("DatabaseConnectionsHigh", 30, 0),
}
FROM_LOGS = ("ApiErrorBurst", "ApiSlowRequests", "FailedLogins", "DatabaseErrors")


@pytest.fixture(scope="module")
def watcher() -> Iterator[Watcher]:
    """Follows the alerts for all tests."""
    show_own_processors()
    found = Watcher(BOX)
    thread = found.start()
    yield found
    found.stop()
    thread.join()


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Show a figure although the test passes."""

    def show(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}")

    return show


def make(fault: str) -> float:
    """Start a fault; return when."""
    began = time.time()
    BOX.sh(FAULTS[fault][0])
    return began


def end(fault: str) -> float:
    """End a fault; return when."""
    BOX.sh(FAULTS[fault][1])
    return time.time()


def test_1_nothing_fires_on_a_healthy_server_but_the_watchdog(host: Any, watcher: Watcher) -> None:
    wait_for(lambda: targets_up(host), seconds=90, what="all targets up")
    watcher.wait_fired("Watchdog", time.time() + 60)
    time.sleep(2 * (SCRAPE + EVALUATION))
    assert set(watcher.fired) == {"Watchdog"}


def test_2_independent_faults_at_once(watcher: Watcher, tell: Tell) -> None:
    log_in_wrongly()
    make_database_errors()
    began = {fault: make(fault) for fault in TOGETHER}
    for fault, (alert, hold, further) in TOGETHER.items():
        limit = SCRAPE + EVALUATION + hold + further + 5
        # Looked at later than it happens, for the watcher notes the time itself.
        seconds = watcher.wait_fired(alert, began[fault] + limit + 30) - began[fault]
        tell(f"{alert}: {seconds:.0f} s from fault to firing, at most {limit} s")
        assert seconds <= limit
    for alert in FROM_LOGS:
        seconds = watcher.wait_fired(alert, began["disk"] + 300) - began["disk"]
        tell(f"{alert}: {seconds:.0f} s from fault to firing")
    for one in watcher.seen.values():
        for text in one["annotations"].values():
            assert "no value" not in text
            assert "%!" not in text
            assert "<error" not in text


def test_3_what_needs_no_window_ends_at_once(watcher: Watcher, tell: Tell) -> None:
    ended = {fault: end(fault) for fault in TOGETHER}
    for fault in ("disk", "memory", "connections"):
        alert = TOGETHER[fault][0]
        seconds = watcher.wait_quiet(alert, ended[fault] + 60) - ended[fault]
        tell(f"{alert}: {seconds:.0f} s from the end of the fault to quiet")
        assert seconds <= SCRAPE + EVALUATION + 5


@pytest.mark.parametrize(
    ("api", "database"), [("API hung", "exporter stopped"), ("API stopped", "PostgreSQL stopped")]
)
def test_4_api_and_database_down(watcher: Watcher, tell: Tell, api: str, database: str) -> None:
    for alert in ("ApiDown", "DatabaseDown"):
        assert alert not in watcher.fired
        watcher.quiet.pop(alert, None)
    began = {fault: make(fault) for fault in (api, database)}
    for fault, alert, hold in ((database, "DatabaseDown", 30), (api, "ApiDown", 60)):
        limit = SCRAPE + EVALUATION + hold + 5 + (SCRAPE_TIMEOUT if fault == "API hung" else 0)
        seconds = watcher.wait_fired(alert, began[fault] + limit + 30) - began[fault]
        tell(f"{alert} ({fault}): {seconds:.0f} s from fault to firing, at most {limit} s")
        assert seconds <= limit
    ended = {fault: end(fault) for fault in (database, api)}
    for fault, alert in ((database, "DatabaseDown"), (api, "ApiDown")):
        seconds = watcher.wait_quiet(alert, ended[fault] + 90) - ended[fault]
        tell(f"{alert} ({fault}): {seconds:.0f} s from the end of the fault to quiet")
        assert seconds <= SCRAPE + EVALUATION + 15


def test_5_what_looks_back_ends_with_its_window(watcher: Watcher) -> None:
    for alert in ("HighErrorRate", "SlowApi", "HighCpu"):
        watcher.wait_quiet(alert, time.time() + WINDOW + SCRAPE + EVALUATION + 5)
    assert "Watchdog" in watcher.fired
